export interface ConnectOptions {
  /** Files of PEM text, needed for addresses on other hosts: the engine's authority, and this client's own key and certificate in one. */
  tls?: { ca: string; identity: string } | undefined;
  /**
   * ms for which a connection that is lost is sought again, before what needs it fails with UNAVAILABLE: 60,000 unless given. Reads are then
   * asked again, and streams go on where they were; a call that changes something is made once.
   */
  patienceMs?: number | undefined;
}

/** What any call may be given. */
export interface CallOptions {
  /** Gives the call up, which then fails with CANCELLED. */
  signal?: AbortSignal | undefined;
  /** ms after which it fails with DEADLINE. Unless given: 30 s, more for what takes its time, none for streams. */
  timeoutMs?: number | undefined;
}
