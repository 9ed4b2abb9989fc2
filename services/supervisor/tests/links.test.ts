import { expect, test } from "vitest";
import { variables } from "../src/domain/containers/links.ts";
import { relinkedHosts } from "../src/domain/network/files.ts";
import { makeSpec } from "./support.ts";

test("variables of a linked container, as Docker names them", () => {
  const child = makeSpec({}, { exposedPorts: ["53/udp", "81/tcp", "80", "90/tcp"], env: ["PATH=/x", "K=a=b", "BARE"] });
  expect(variables("/web/my-db", "172.17.0.2", child)).toEqual([
    "MY_DB_PORT=tcp://172.17.0.2:80",
    ...["80", "81"].flatMap((port) => [
      `MY_DB_PORT_${port}_TCP=tcp://172.17.0.2:${port}`,
      `MY_DB_PORT_${port}_TCP_ADDR=172.17.0.2`,
      `MY_DB_PORT_${port}_TCP_PORT=${port}`,
      `MY_DB_PORT_${port}_TCP_PROTO=tcp`,
    ]),
    "MY_DB_PORT_80_TCP_START=tcp://172.17.0.2:80",
    "MY_DB_PORT_80_TCP_PORT_START=80",
    "MY_DB_PORT_80_TCP_END=tcp://172.17.0.2:81",
    "MY_DB_PORT_80_TCP_PORT_END=81",
    "MY_DB_PORT_90_TCP=tcp://172.17.0.2:90",
    "MY_DB_PORT_90_TCP_ADDR=172.17.0.2",
    "MY_DB_PORT_90_TCP_PORT=90",
    "MY_DB_PORT_90_TCP_PROTO=tcp",
    "MY_DB_PORT_53_UDP=udp://172.17.0.2:53",
    "MY_DB_PORT_53_UDP_ADDR=172.17.0.2",
    "MY_DB_PORT_53_UDP_PORT=53",
    "MY_DB_PORT_53_UDP_PROTO=udp",
    "MY_DB_NAME=/web/my-db",
    "MY_DB_ENV_K=a=b",
  ]);
  expect(variables("/a/b", "1.2.3.4", makeSpec())).toEqual(["B_NAME=/a/b"]);
});

test("a linked container's new address replaces the old one, and nothing else", () => {
  const text = "127.0.0.1\tlocalhost\n172.17.0.2\tdb bar p\n172.17.0.3\tmydb\n# db\n9.9.9.9 db\n";
  expect(relinkedHosts(text, ["db"], "172.17.0.9")).toBe(text.replace("172.17.0.2", "172.17.0.9"));
  expect(relinkedHosts(text, ["other"], "172.17.0.9")).toBe(text);
  expect(relinkedHosts("", ["db"], "1.1.1.1")).toBe("");
});
