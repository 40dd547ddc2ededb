/**
 * The one alarm of an object in which several parts want to be woken.
 *
 * `by` may move the alarm earlier and never later: a part that knows of nothing before tomorrow must not put off what
 * another part needs in a minute. Only the alarm handler sets it later, with `rearm`, after everything that was due has
 * been worked on.
 *
 * What is armed is kept in memory too. Two writers that read the stored alarm at the same time would otherwise both find
 * nothing, and the one that writes last, with the later instant, would win.
 */
export interface AlarmStorage {
  /** null: none is armed. */
  getAlarm(): Promise<number | null>;
  setAlarm(at: number): Promise<void>;
  deleteAlarm(): Promise<void>;
}

export class ObjectAlarm {
  readonly #storage: AlarmStorage;
  readonly #now: () => number;
  /** undefined: this incarnation has not asked yet. */
  #at: number | null | undefined;

  constructor(storage: AlarmStorage, now: () => number) {
    this.#storage = storage;
    this.#now = now;
  }

  /**
   * Comes before a write that `by` is to join: what is armed is known from here on. An alarm whose time has passed may have
   * been dropped by the platform, which gives up after a few failures, so it is asked for again.
   */
  async known(): Promise<void> {
    const before = this.#at;
    if (before === null || (before !== undefined && before >= this.#now())) return;
    const stored = await this.#storage.getAlarm();
    // Somebody else may have armed it meanwhile.
    if (this.#at === before) this.#at = stored;
  }

  /** Synchronous, so that it is one write with the rows before it. Call `known` first. */
  by(at: number): void {
    if (this.#at !== undefined && this.#at !== null && this.#at <= at) return;
    this.#at = at;
    // The output gate holds every reply until this is stored, and a failure resets the object.
    void this.#storage.setAlarm(at);
  }

  /** First thing in the alarm handler: the platform has taken the alarm away, and the handler may not come to its end. */
  async fired(fallbackAt: number): Promise<void> {
    this.#at = fallbackAt;
    await this.#storage.setAlarm(fallbackAt);
  }

  /** Last thing in the alarm handler. null: nothing is left to look after. */
  async rearm(at: number | null): Promise<void> {
    this.#at = at;
    if (at === null) await this.#storage.deleteAlarm();
    else await this.#storage.setAlarm(at);
  }
}
