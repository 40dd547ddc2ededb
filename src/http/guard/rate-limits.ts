/**
 * How often a tenant may ask, reads and writes apart, and how often an address may fail to say who it is.
 *
 * Two counters, either of which may refuse. One in this isolate's memory: exact for what passes here, and the source of
 * the numbers in the headers. And, where it is bound, the platform's: approximate, over all isolates of one location. Without the
 * binding the first stands alone, so a tenant gets its budget once for each isolate. Neither costs an object call: a
 * flood is turned away before any object hears of it, and another tenant's reads meet nothing of it.
 *
 * Windows are fixed and short: what is refused now is allowed at a known time, at most `windowMs` away.
 */
import type { Clock, Logger } from "../../runtime/clock-ids-logger.ts";
import { briefly } from "../backend.ts";

/** As the platform's binding allows it (10 or 60 s); the bindings in wrangler.toml count over the same. */
export const windowMs = 10_000;
/** Some hundred bytes each; the ones that were asked least lately go first. */
const keysKept = 10_000;

/** What is used of the platform's rate limit binding. */
export interface SharedCounter {
  limit(options: { readonly key: string }): Promise<{ readonly success: boolean }>;
}

export type BudgetName = "reads" | "writes" | "traffic" | "auth_failures";

export interface Budget {
  readonly name: BudgetName;
  /** In one window. */
  readonly requests: number;
  /** null: not bound in this deployment. */
  readonly shared: SharedCounter | null;
}

export interface Standing {
  readonly allowed: boolean;
  readonly budget: Budget;
  /** Left in this window, after this request. */
  readonly remaining: number;
  /** Until the window is over. ms */
  readonly resetMs: number;
}

interface Window {
  readonly until: number;
  used: number;
}

export class RateLimits {
  readonly #budgets: ReadonlyMap<BudgetName, Budget>;
  readonly #clock: Pick<Clock, "now">;
  readonly #log: Logger;
  readonly #windows = new Map<string, Window>();

  /** A budget that is not among them is without limit. */
  constructor(budgets: readonly Budget[], clock: Pick<Clock, "now">, log: Logger) {
    this.#budgets = new Map(budgets.map((budget) => [budget.name, budget]));
    this.#clock = clock;
    this.#log = log;
  }

  budget(name: BudgetName): Budget | null {
    return this.#budgets.get(name) ?? null;
  }

  /** Counts one request. null: there is no limit. */
  async take(name: BudgetName, key: string): Promise<Standing | null> {
    const budget = this.#budgets.get(name);
    if (budget === undefined) return null;
    const window = this.#window(name, key);
    const resetMs = window.until - this.#clock.now();
    if (window.used >= budget.requests) return { allowed: false, budget, remaining: 0, resetMs };
    window.used += 1;
    if (!(await this.#sharedAllows(budget, key))) {
      // All isolates together are over it: this one needs not ask again before the window is over.
      window.used = budget.requests;
      return { allowed: false, budget, remaining: 0, resetMs };
    }
    return { allowed: true, budget, remaining: budget.requests - window.used, resetMs };
  }

  /** Whether another one would be allowed here, without counting it. */
  spent(name: BudgetName, key: string): Standing | null {
    const budget = this.#budgets.get(name);
    if (budget === undefined) return null;
    const window = this.#window(name, key);
    const resetMs = window.until - this.#clock.now();
    return window.used < budget.requests ? null : { allowed: false, budget, remaining: 0, resetMs };
  }

  #window(name: BudgetName, key: string): Window {
    const id = `${name} ${key}`;
    const now = this.#clock.now();
    const known = this.#windows.get(id);
    // A window that ends more than windowMs ahead means that the clock was set back. Start a new one.
    const running = known !== undefined && known.until > now && known.until <= now + windowMs;
    const window = running ? known : { until: now + windowMs, used: 0 };
    this.#windows.delete(id);
    this.#windows.set(id, window);
    const [oldest] = this.#windows.keys();
    if (this.#windows.size > keysKept && oldest !== undefined) this.#windows.delete(oldest);
    return window;
  }

  /** The platform's counter out of order is no reason to turn a tenant away: our own still counts. */
  async #sharedAllows(budget: Budget, key: string): Promise<boolean> {
    if (budget.shared === null) return true;
    try {
      return (await budget.shared.limit({ key })).success;
    } catch (error) {
      this.#log.warn("the platform's rate limit did not answer", { budget: budget.name, error: briefly(error) });
      return true;
    }
  }
}

/** In the form of draft-ietf-httpapi-ratelimit-headers-10: the policies, and how the one that counted this request stands. */
export function rateLimitHeaders(standing: Standing, policies: readonly Budget[]): Record<string, string> {
  const seconds = windowMs / 1_000;
  return {
    "ratelimit-policy": policies.map(({ name, requests }) => `"${name}";q=${requests};w=${seconds}`).join(", "),
    ratelimit: `"${standing.budget.name}";r=${standing.remaining};t=${Math.ceil(standing.resetMs / 1_000)}`,
  };
}

/** Whom a failed authentication is counted against: one address, or the network that an IPv6 address can roam in. */
export function addressOf(request: Request): string | null {
  const address = request.headers.get("cf-connecting-ip")?.trim() ?? "";
  if (address === "") return null;
  if (!address.includes(":")) return address.slice(0, 45);
  const [head = "", tail] = address.toLowerCase().split("::");
  const groups = head === "" ? [] : head.split(":");
  const rest = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros =
    tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - groups.length - rest.length) }, () => "0");
  return `${[...groups, ...zeros, ...rest].slice(0, 4).join(":")}::/64`;
}
