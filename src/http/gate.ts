/**
 * What stands before every handler that is not open: who asks, how often, and how much they send. In this order, because
 * only a tenant that is known has a budget, and only a request within it is read at all. What is refused here has reached no
 * object: it used up no Idempotency-Key and cost nobody else anything (SEC-6).
 *
 * An API key is checked before its address's failures are looked at: its signature cannot be guessed, so whoever shares an
 * address with an attacker is not locked out. The admin token could be, so there the failures come first.
 */
import type { Config } from "../config.ts";
import type { Problem, Reply } from "../protocol/problem.ts";
import type { Clock, Logger } from "../session/ambient.ts";
import { authenticateAdmin, authenticateSandbox, authenticateTenant, type Tenant } from "./auth.ts";
import type { Backend } from "./backend.ts";
import { refused } from "./problem.ts";
import {
  addressOf,
  type Budget,
  type BudgetName,
  rateLimitHeaders,
  RateLimits,
  type SharedCounter,
  type Standing,
} from "./rate-limits.ts";
import { RevocationCache } from "./revocation-cache.ts";
import type { Surface } from "./surface.ts";

export interface GateSurroundings {
  readonly backend: Pick<Backend, "tenant">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: Readonly<Record<BudgetName, SharedCounter | null>>;
}

/** The headers go on the answer, whatever becomes of the request. */
export interface Entry {
  readonly tenant: Reply<Tenant>;
  readonly headers: Readonly<Record<string, string>>;
}

export class Gate {
  readonly #config: Config;
  readonly #clock: Clock;
  readonly #rates: RateLimits;
  readonly #policies: readonly Budget[];
  readonly #revocations: RevocationCache;

  constructor(config: Config, around: GateSurroundings) {
    this.#config = config;
    this.#clock = around.clock;
    this.#revocations = new RevocationCache(around.backend, around.clock, around.log);
    const { reads, writes, authFailures } = config.rates;
    const asked = [
      ["reads", reads],
      ["writes", writes],
      ["auth_failures", authFailures],
    ] as const;
    const budgets = asked.flatMap(([name, requests]) =>
      requests === null ? [] : [{ name, requests, shared: around.counters[name] }],
    );
    this.#rates = new RateLimits(budgets, around.clock, around.log);
    this.#policies = budgets.filter(({ name }) => name !== "auth_failures");
  }

  /** `sandbox`: an E2B client's token for that one sandbox will do as well. */
  async tenant(request: Request, surface: Surface, access: "tenant" | "sandbox"): Promise<Entry> {
    const { secrets } = this.#config;
    const byToken = access === "sandbox" ? await authenticateSandbox(request, secrets) : null;
    const tenant =
      byToken ?? (await authenticateTenant(request, surface, secrets, (...key) => this.#revocations.isRevoked(...key)));
    if (!tenant.ok) return { tenant: refused(await this.#failed(request, tenant.problem)), headers: {} };
    const reads = request.method === "GET" || request.method === "HEAD";
    const standing = await this.#rates.take(reads ? "reads" : "writes", tenant.value.tenant);
    if (standing === null) return { tenant, headers: {} };
    const headers = rateLimitHeaders(standing, this.#policies);
    return standing.allowed ? { tenant, headers } : { tenant: refused(this.#tooOften(standing, asked)), headers };
  }

  async admin(request: Request): Promise<Reply<null>> {
    const address = addressOf(request);
    const spent = address === null ? null : this.#rates.spent("auth_failures", address);
    if (spent !== null) return refused(this.#tooOften(spent, failed));
    const admin = await authenticateAdmin(request, this.#config.secrets);
    return admin.ok ? admin : refused(await this.#failed(request, admin.problem));
  }

  /** Counts a failure against its address; one too many is told so instead. */
  async #failed(request: Request, problem: Problem): Promise<Problem> {
    const address = addressOf(request);
    if (problem.code !== "unauthorized" || address === null) return problem;
    const standing = await this.#rates.take("auth_failures", address);
    return standing === null || standing.allowed ? problem : this.#tooOften(standing, failed);
  }

  #tooOften(standing: Standing, words: (standing: Standing) => string): Problem {
    const { requests } = standing.budget;
    return {
      code: "rate_limited",
      detail: words(standing),
      retryAt: this.#clock.now() + standing.resetMs,
      limit: requests,
    };
  }
}

const asked = ({ budget, resetMs }: Standing): string =>
  `Your tenant sent more ${budget.name} than it may in a short time (see RateLimit-Policy), so this one was not looked at and changed nothing. Wait ${Math.ceil(resetMs / 1_000)} s and send it again as it is.`;
const failed = ({ resetMs }: Standing): string =>
  `Too many requests from this address carried no valid credential, so this one was not looked at. Check the key, wait ${Math.ceil(resetMs / 1_000)} s and try again.`;
