import type { ChannelOptions } from "nice-grpc";

/** Chunks of bulk data are 256 KiB; the rest is room for large manifests and inspect answers. */
export const maxMessageBytes = 16 * 1024 * 1024;

/** What one stream may have under way unread: with HTTP/2's default of 64 KiB every 256 KiB chunk would stop four times. */
const flowControlWindow = 1024 * 1024;

const common: ChannelOptions = {
  "grpc.max_send_message_length": maxMessageBytes,
  "grpc.max_receive_message_length": maxMessageBytes,
  "grpc-node.flow_control_window": flowControlWindow,
  // Channelz keeps a trace of every call and subchannel; our metrics and logs say what we need.
  "grpc.enable_channelz": 0,
  // A half-open TCP connection is noticed within 20 s even while no call runs. Unix sockets close with their process.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 10_000,
};

export const serverOptions: ChannelOptions = {
  ...common,
  // Every `docker logs -f`, `wait` and `attach` is one stream of the gateway's connection.
  "grpc.max_concurrent_streams": 100_000,
};

export const channelOptions = (tcp: boolean): ChannelOptions => ({
  ...common,
  // Who is there is seen by what the certificate says of role and node, not by a name of the host's. TLS wants a name, and no address.
  ...(tcp && { "grpc.ssl_target_name_override": "berth" }),
  "grpc.keepalive_permit_without_calls": tcp ? 1 : 0,
  ...(tcp ? {} : { "grpc.keepalive_time_ms": 3_600_000 }),
  // A service is back within 2 s of its death; its callers must not wait longer than that to notice.
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 1_000,
  // Retries are the domain's decision: the transport can't know what is safe to repeat.
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_http_proxy": 0,
  // An unused channel to a node stays connected: the first call after a pause should not pay for connecting.
  "grpc.client_idle_timeout_ms": 3_600_000,
});
