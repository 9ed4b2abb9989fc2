import { expect, test } from "vitest";
import { extraAttributes, jsonAttributes, tagOf } from "../src/domain/logs/options/attributes.ts";
import { fileSettings } from "../src/domain/logs/options/files.ts";
import { checkLogConfig } from "../src/domain/logs/options/validate.ts";
import { parseDuration, parseSize } from "../src/domain/logs/options/values.ts";
import type { ContainerRecord } from "../src/domain/model.ts";

const messageOf = (call: () => unknown): string => {
  try {
    call();
  } catch (error) {
    return (error as Error).message;
  }
  return "";
};

/** What Docker 28.5 answers to create, "" for yes. */
const created: [type: string, options: Record<string, string>, message: string][] = [
  ["json-file", { x: "1" }, "unknown log opt 'x' for json-file log driver"],
  ["", { x: "1" }, "unknown log opt 'x' for json-file log driver"],
  ["json-file", { "max-size": "abc" }, ""],
  ["json-file", { mode: "x" }, "logger: logging mode not supported: x"],
  [
    "json-file",
    { "max-buffer-size": "1m" },
    "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
  ],
  [
    "json-file",
    { mode: "non-blocking", "max-buffer-size": "zz" },
    "error parsing option max-buffer-size: invalid size: 'zz'",
  ],
  ["json-file", { "cache-disabled": "x" }, "invalid value for option cache-disabled: x"],
  ["json-file", { "cache-max-size": "1" }, ""],
  ["local", { x: "1" }, "unknown log opt 'x' for log driver local"],
  ["local", { tag: "x" }, "unknown log opt 'tag' for log driver local"],
  ["none", { x: "1" }, ""],
  ["nosuch", {}, 'error looking up logging plugin nosuch: plugin "nosuch" not found'],
  ["gcplogs", {}, 'error looking up logging plugin gcplogs: plugin "gcplogs" not found'],
  ["syslog", { x: "1" }, "unknown log opt 'x' for syslog log driver"],
  ["syslog", { "syslog-address": "foo" }, "unsupported scheme: ''"],
  ["syslog", { "syslog-address": "http://x" }, "unsupported scheme: 'http'"],
  ["syslog", { "syslog-address": "unix:///nonexist" }, "stat /nonexist: no such file or directory"],
  ["syslog", { "syslog-facility": "zz" }, "invalid syslog facility"],
  ["syslog", { "syslog-facility": "99" }, "invalid syslog facility"],
  ["syslog", { "syslog-format": "zz" }, "Invalid syslog format"],
  ["fluentd", { "fluentd-address": "foo://x" }, "invalid fluentd-address (foo://x): unsupported scheme: 'foo'"],
  [
    "fluentd",
    { "fluentd-address": "127.0.0.1:abc" },
    'invalid fluentd-address (127.0.0.1:abc): parse "tcp://127.0.0.1:abc": invalid port ":abc" after host',
  ],
  [
    "fluentd",
    { "fluentd-address": "127.0.0.1:99999" },
    'invalid fluentd-address (127.0.0.1:99999): invalid port: strconv.ParseUint: parsing "99999": value out of range',
  ],
  [
    "fluentd",
    { "fluentd-address": "127.0.0.1:1/path" },
    "invalid fluentd-address (127.0.0.1:1/path): should not contain a path element",
  ],
  ["fluentd", { "fluentd-address": "unix://" }, "invalid fluentd-address (unix://): path is empty"],
  ["fluentd", { "fluentd-async": "zz" }, 'strconv.ParseBool: parsing "zz": invalid syntax'],
  ["fluentd", { "fluentd-async-connect": "true" }, "unknown log opt 'fluentd-async-connect' for fluentd log driver"],
  ["fluentd", { "fluentd-retry-wait": "z" }, 'time: invalid duration "z"'],
  ["fluentd", { "fluentd-max-retries": "z" }, 'strconv.ParseUint: parsing "z": invalid syntax'],
  ["fluentd", { "fluentd-buffer-limit": "z" }, "invalid size: 'z'"],
  [
    "fluentd",
    { "fluentd-async-reconnect-interval": "1ms" },
    'invalid value for fluentd-async-reconnect-interval: value ("1ms") must be between 100ms and 10s',
  ],
  [
    "fluentd",
    { "fluentd-write-timeout": "z" },
    'invalid value for fluentd-write-timeout: value must be a duration: time: invalid duration "z"',
  ],
  [
    "fluentd",
    { "fluentd-write-timeout": "-1s" },
    "invalid value for fluentd-write-timeout: value must be a duration that is non-negative",
  ],
  ["gelf", { x: "1" }, "gelf-address is a required parameter"],
  ["gelf", { "gelf-address": "foo" }, "gelf: endpoint needs to be TCP or UDP"],
  ["gelf", { "gelf-address": "udp://127.0.0.1" }, "gelf: please provide gelf-address as proto://host:port"],
  [
    "gelf",
    { "gelf-address": "udp://a:1", "gelf-compression-type": "zz" },
    'unknown value "zz" for log opt "gelf-compression-type" for gelf log driver',
  ],
  [
    "gelf",
    { "gelf-address": "udp://a:1", "gelf-compression-level": "19" },
    'unknown value "19" for log opt "gelf-compression-level" for gelf log driver',
  ],
  ["gelf", { "gelf-address": "tcp://a:1", "gelf-compression-level": "1" }, "compression is only supported on UDP"],
  [
    "gelf",
    { "gelf-address": "udp://a:1", "gelf-tcp-max-reconnect": "1" },
    '"gelf-tcp-max-reconnect" is only valid for TCP',
  ],
  [
    "gelf",
    { "gelf-address": "tcp://a:1", "gelf-tcp-max-reconnect": "-1" },
    '"gelf-tcp-max-reconnect" must be a positive integer',
  ],
  ["journald", { x: "1" }, "unknown log opt 'x' for journald log driver"],
];

test.each(created)("create: %s %j", (type, config, message) => {
  expect(messageOf(() => checkLogConfig({ type, config }))).toBe(message);
});

/** What Docker 28.5 answers to start, behind "failed to initialize logging driver: ". */
const started: typeof created = [
  ["json-file", { "max-size": "abc" }, "invalid size: 'abc'"],
  ["json-file", { "max-size": "0" }, "max-size must be a positive number"],
  ["json-file", { "max-file": "abc" }, 'strconv.Atoi: parsing "abc": invalid syntax'],
  ["json-file", { "max-file": "0" }, "max-file cannot be less than 1"],
  ["json-file", { "max-file": "3" }, ""],
  ["json-file", { compress: "x" }, 'strconv.ParseBool: parsing "x": invalid syntax'],
  ["json-file", { compress: "true" }, "compress cannot be true when max-file is less than 2 or max-size is not set"],
  ["local", { "max-size": "abc" }, "invalid value for max-size: abc: invalid size: 'abc'"],
  ["local", { "max-file": "0" }, "compression cannot be enabled when max file count is 1"],
  ["local", { "max-file": "z" }, 'invalid value for max-file: z: strconv.Atoi: parsing "z": invalid syntax'],
  ["local", { compress: "zz" }, 'error reading compress log option: strconv.ParseBool: parsing "zz": invalid syntax'],
];

test.each(started)("start: %s %j", (type, config, message) => {
  expect(messageOf(() => fileSettings({ type, config }))).toBe(message);
});

test("a log has a bound, whatever its driver", () => {
  expect(fileSettings({ type: "", config: {} })).toMatchObject({ maxSize: 100 << 20, maxFiles: 5, compact: false });
  expect(fileSettings({ type: "json-file", config: { "max-size": "10k" } })).toMatchObject({
    maxSize: 10240,
    maxFiles: 1,
  });
  expect(fileSettings({ type: "json-file", config: { "max-size": "-1" } })).toMatchObject({ maxSize: 0 });
  const cache = { compact: true, maxSize: 20 << 20, maxFiles: 5, compress: true };
  expect(fileSettings({ type: "local", config: {} })).toEqual({ ...cache, hold: false });
  expect(fileSettings({ type: "syslog", config: {} })).toEqual({ ...cache, hold: false });
  expect(fileSettings({ type: "gelf", config: { mode: "blocking", "cache-max-size": "1m" } })).toEqual({
    ...cache,
    maxSize: 1 << 20,
    hold: true,
  });
  expect(fileSettings({ type: "none", config: {} })).toBeUndefined();
});

test("sizes and durations", () => {
  expect([parseSize("10m"), parseSize("1.5k"), parseSize("7"), parseSize("1GiB")]).toEqual([
    10485760,
    1536,
    7,
    1 << 30,
  ]);
  expect([parseDuration("1.5s"), parseDuration("1h2m"), parseDuration("-3ms"), parseDuration("0")]).toEqual([
    1500, 3_720_000, -3, 0,
  ]);
  expect(messageOf(() => parseDuration("5"))).toBe('time: missing unit in duration "5"');
});

const record = (config: Record<string, string>): ContainerRecord =>
  ({
    id: "0123456789abcdef".repeat(4),
    name: "web",
    path: "nginx",
    args: ["-g", "daemon off;"],
    created: "2026-01-02T03:04:05.000000006Z",
    spec: {
      imageId: `sha256:${"f".repeat(64)}`,
      config: { image: "nginx:1", env: ["A=1", "B=x=y", "bare"], labels: { tier: "front", "com.x/y": "z" } },
      hostConfig: { logConfig: { type: "json-file", config } },
    },
  }) as unknown as ContainerRecord;

test.each([
  ["", "0123456789ab"],
  ["{{.Name}}/{{.ImageName}}/{{.ID}}", "web/nginx:1/0123456789ab"],
  ["{{.FullID}}", "0123456789abcdef".repeat(4)],
  ["{{ .ImageID }}", "sha256:fffff"],
  ["{{.ContainerName}} {{.DaemonName}}", "/web docker"],
  ["{{.Command}}", "nginx -g daemon off;"],
  ['{{index .ContainerLabels "com.x/y"}}-{{.ContainerLabels.tier}}', "z-front"],
  ["{{.Name | upper}}", "WEB"],
  ['{{join (split .ImageName ":") "-"}}', "nginx-1"],
  ["{{truncate .FullID 4}}", "0123"],
  ["a {{- .Name -}} b", "awebb"],
  ["{{json .ContainerArgs}}", '["-g","daemon off;"]'],
  ['{{printf "%s-%q" .Name "}}"}}', 'web-"}}"'],
])("tag %s", (tag, text) => {
  expect(tagOf(record({ tag }))).toBe(text);
});

test.each([
  ["{{.Foo}}", `template: log-tag:1:2: executing "log-tag" at <.Foo>: can't evaluate field Foo in type *logger.Info`],
  ["{{", "template: log-tag:1: unclosed action"],
  ["{{nope .ID}}", 'template: log-tag:1: function "nope" not defined'],
  ["{{constructor}}", 'template: log-tag:1: function "constructor" not defined'],
  [
    "{{.constructor}}",
    `template: log-tag:1:2: executing "log-tag" at <.constructor>: can't evaluate field constructor in type *logger.Info`,
  ],
])("bad tag %s", (tag, message) => {
  expect(messageOf(() => tagOf(record({ tag })))).toBe(message);
});

test("labels and variables by name and expression", () => {
  expect(extraAttributes(record({ labels: "tier,missing", env: "B" }))).toEqual({ tier: "front", B: "x=y" });
  expect(extraAttributes(record({ "labels-regex": "^com", "env-regex": "^[AB]$" }))).toEqual({
    "com.x/y": "z",
    A: "1",
    B: "x=y",
  });
  expect(jsonAttributes(record({ labels: "tier", tag: "{{.Name}}" }))).toBe('{"tag":"web","tier":"front"}');
  expect(jsonAttributes(record({}))).toBe("");
  expect(messageOf(() => extraAttributes(record({ "labels-regex": "(" })))).toBe(
    "error parsing regexp: missing closing ): `(`",
  );
  expect(messageOf(() => extraAttributes(record({ "env-regex": "[" })))).toBe(
    "error parsing regexp: missing closing ]: `[`",
  );
  expect(messageOf(() => extraAttributes(record({ "env-regex": "a**" })))).toBe(
    "error parsing regexp: invalid nested repetition operator: `**`",
  );
});
