/** What a driver tells of one volume. */
export interface DriverVolume {
  name: string;
  /** Path on this host; empty: not mounted, and the driver makes one up when it is. */
  mountpoint: string;
  /** RFC 3339; empty: not known. */
  createdAt: string;
  status?: Record<string, unknown> | undefined;
}

/**
 * Who makes volumes and mounts them: "local", or a plugin. A volume's life with its driver:
 *
 *     create ──▶ there ──mount(id)──▶ mounted ──unmount(id), for every id──▶ there ──release──▶ discard ──▶ gone
 *
 * mount may be called for several ids at once (one for each container that starts); each is ended by an unmount of its own. Calls of one
 * volume take turns (Volumes sees to it). All but `get` and `list` may be repeated after a crash and must then do no harm.
 */
export interface VolumeDriver {
  readonly name: string;
  /** "local" or "global" */
  scope(): Promise<string>;
  /** Makes it, or finds it made. @throws INVALID_ARGUMENT for options it does not take */
  create(name: string, options: Readonly<Record<string, string>>): Promise<void>;
  /** Undefined: it has none of that name. @throws UNAVAILABLE when it can't be asked */
  get(name: string): Promise<DriverVolume | undefined>;
  list(): Promise<DriverVolume[]>;
  /** Resolves to the directory on this host. */
  mount(name: string, id: string): Promise<string>;
  unmount(name: string, id: string): Promise<void>;
  /** Everything about a removal that may be refused. Comes before the record goes. */
  release(name: string): Promise<void>;
  /** What is left once the record has gone; what a crash leaves of it is swept. */
  discard(name: string): Promise<void>;
}
