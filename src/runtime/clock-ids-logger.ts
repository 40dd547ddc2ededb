/** Clock, ids and logger: every shell gets them from outside, so that the simulation can provide them. Always required. */

export interface Clock {
  /** Epoch ms. May jump. */
  now(): number;
  /** Resolves after `ms`, or at once when aborted. Does not reject. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Ids {
  /** 20 lower-case alphanumerics. */
  id(): string;
  /** 64 hex digits, unguessable. */
  secret(): string;
  /** In [0, 1). */
  random(): number;
}

export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

export interface Logger {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}
