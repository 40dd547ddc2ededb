/**
 * When the control plane could not renew. A session that was lost without having been hit is excused only if, in the
 * lease time before its wrapper's end, there was no room for a renewal.
 */
export interface Outage {
  readonly what: string;
  readonly from: number;
  readonly until: number;
}

const shared: readonly string[] = ["workerd", "host"];

export class Outages {
  readonly #past: Outage[] = [];
  readonly #open = new Map<string, number>();

  begin(what: string): void {
    if (!this.#open.has(what)) this.#open.set(what, Date.now());
  }

  end(what: string): void {
    const from = this.#open.get(what);
    if (from === undefined) return;
    this.#open.delete(what);
    this.#past.push({ what, from, until: Date.now() });
  }

  /** One that was noticed only afterwards. */
  past(what: string, from: number, until: number): void {
    this.#past.push({ what, from, until });
  }

  get all(): readonly Outage[] {
    return [...this.#past, ...[...this.#open].map(([what, from]) => ({ what, from, until: Date.now() }))];
  }

  /** The longest unbroken time of [from, until] in which neither the control plane nor `own` was away, ms. */
  longestCalm(from: number, until: number, own: string): number {
    let calmSince = from;
    let longest = 0;
    for (const outage of this.all.toSorted((a, b) => a.from - b.from)) {
      if (!shared.includes(outage.what) && outage.what !== own) continue;
      if (outage.until <= from || outage.from >= until) continue;
      longest = Math.max(longest, outage.from - calmSince);
      calmSince = Math.max(calmSince, outage.until);
    }
    return Math.max(longest, until - calmSince);
  }
}
