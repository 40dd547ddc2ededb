/** What the driver knows of one session it asked for: its order, what was done to it, and what must therefore be true. */
import type { CreateSession } from "../../src/protocol/resources/session/sessions.ts";

/** Whether a hit takes the sandbox down. */
export type Severity = "harmless" | "fatal";

export interface Hit {
  readonly fault: string;
  readonly at: number;
  /** Of the process that was struck. */
  readonly generation: number | null;
  readonly severity: Severity;
}

export type Life = "lasting" | "idle" | "timeout";

export interface TrackedJob {
  readonly id: string;
  readonly kind: string;
  /** Its first line appends to this file: how often it really ran. */
  readonly ranFile: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Whether Mooring acknowledged it. */
  accepted: boolean;
  /** A problem was the answer: it will not be posted again. */
  refused: boolean;
  readonly postedAt: number;
}

export class TrackedSession {
  readonly key: string;
  readonly order: CreateSession;
  readonly life: Life;
  readonly hits: Hit[] = [];
  readonly jobs: TrackedJob[] = [];
  id: string | null = null;
  /** Refused for good: no session came of it. */
  refused = false;
  askedAt = Date.now();
  deleteAskedAt: number | null = null;
  deleteAccepted = false;
  /** It was seen to have ended, or to be lost: clients open others in its stead. */
  over = false;
  /** When a wrapper of each generation was last seen alive by the census, epoch ms. */
  readonly lastAlive = new Map<number, number>();

  constructor(key: string, order: CreateSession, life: Life) {
    this.key = key;
    this.order = order;
    this.life = life;
  }

  get name(): string {
    return this.id ?? this.key;
  }

  get onLoss(): "hold" | "relaunch" | "terminate" {
    return this.order.on_loss ?? "hold";
  }

  get alive(): boolean {
    return this.id !== null && this.deleteAskedAt === null && !this.over;
  }

  hit(fault: string, severity: Severity, generation: number | null): void {
    this.hits.push({ fault, at: Date.now(), generation, severity });
  }
}
