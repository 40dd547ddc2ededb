/**
 * What stands before every handler that is not open: who asks, how often, and how much they send. In this order, because
 * only a tenant that is known has a budget, and only a request within it is read at all. What is refused here has reached no
 * object: it used up no Idempotency-Key and cost nobody else anything.
 *
 * An API key is checked before its address's failures are looked at: its signature cannot be guessed, so whoever shares an
 * address with an attacker is not locked out. The admin token could be, so there the failures come first.
 */
import type { Config } from "../../config/config.ts";
import type { TenantId } from "../../domain/state/ids.ts";
import { keyHasEnded } from "../../protocol/api-keys.ts";
import type { Problem, Reply } from "../../protocol/problem.ts";
import type { Clock, Logger } from "../../runtime/clock-ids-logger.ts";
import { authenticateAdmin, authenticateTenant, operatorOfCookie, type Tenant, tenantOfCookie } from "./auth.ts";
import type { Backend } from "../backend.ts";
import { refused } from "../answer/problem.ts";
import {
  addressOf,
  type Budget,
  type BudgetName,
  rateLimitHeaders,
  RateLimits,
  type SharedCounter,
  type Standing,
} from "./rate-limits.ts";
import { OwnerCache } from "./owner-cache.ts";
import { KeyCache } from "./key-cache.ts";
import { authenticateSandbox } from "./sandbox-auth.ts";
import type { Surface } from "./surface.ts";
import { VerifiedKeys } from "./verified-keys.ts";

export interface RequestGateDependencies {
  readonly backend: Pick<Backend, "tenant" | "session">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: Readonly<Record<BudgetName, SharedCounter | null>>;
}

/** The headers go on the answer, whatever becomes of the request. */
export interface Entry {
  readonly tenant: Reply<Tenant>;
  readonly headers: Readonly<Record<string, string>>;
}

export class RequestGate {
  readonly #config: Config;
  readonly #clock: Clock;
  readonly #rates: RateLimits;
  readonly #policies: readonly Budget[];
  readonly #keys: KeyCache;
  /** null: no secret is set that signs keys. */
  readonly #verified: VerifiedKeys | null;
  readonly #owners: OwnerCache;

  constructor(config: Config, around: RequestGateDependencies) {
    this.#config = config;
    this.#clock = around.clock;
    this.#keys = new KeyCache(around.backend, around.clock, around.log);
    this.#verified = config.secrets.keySigning === null ? null : new VerifiedKeys(config.secrets.keySigning);
    this.#owners = new OwnerCache(around.backend);
    const { reads, writes, traffic, authFailures } = config.rates;
    const asked = [
      ["reads", reads],
      ["writes", writes],
      ["traffic", traffic],
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
    const byToken =
      access === "sandbox"
        ? await authenticateSandbox(request, secrets, this.#clock.now(), (id) => this.#owners.of(id))
        : null;
    const tenant =
      byToken ??
      (access === "sandbox" ? null : (await this.tenantOfCookie(request))?.reply) ??
      (await authenticateTenant(request, surface, this.#verified, this.#clock.now(), (...key) =>
        this.#keys.isRevoked(...key),
      ));
    if (!tenant.ok) return { tenant: refused(await this.#failed(request, tenant.problem)), headers: {} };
    const reads = request.method === "GET" || request.method === "HEAD";
    // Every call of the data plane is a POST, and a program makes many: they must not use up what lifecycle calls need.
    const budget = access === "sandbox" ? "traffic" : reads ? "reads" : "writes";
    const standing = await this.#rates.take(budget, tenant.value.tenant);
    if (standing === null) return { tenant, headers: {} };
    const policies = this.#policies.filter(({ name }) => (name === "traffic") === (budget === "traffic"));
    const headers = rateLimitHeaders(standing, policies);
    return standing.allowed ? { tenant, headers } : { tenant: refused(this.#tooOften(standing, asked)), headers };
  }

  /** By an API key that was found elsewhere than a surface looks for it. */
  async key(request: Request, key: string): Promise<Entry> {
    const surface = { credential: () => key, sendAs: "`Authorization: Bearer …`" };
    const now = this.#clock.now();
    const tenant = await authenticateTenant(request, surface, this.#verified, now, (...each) =>
      this.#keys.isRevoked(...each),
    );
    if (!tenant.ok) return { tenant: refused(await this.#failed(request, tenant.problem)), headers: {} };
    const problem = await this.tooOften(request, tenant.value.tenant);
    return { tenant: problem === null ? tenant : refused(problem), headers: {} };
  }

  /** Whether the key that an otherwise valid credential comes from was revoked or has ended. */
  isRevoked(tenant: TenantId, keyId: string): Promise<Reply<boolean>> {
    if (keyHasEnded(keyId, this.#clock.now())) return Promise.resolve({ ok: true, value: true });
    return this.#keys.isRevoked(tenant, keyId);
  }

  /** null: the caller may send one more request. */
  async tooOften(request: Request, counted: string): Promise<Problem | null> {
    const reads = request.method === "GET" || request.method === "HEAD";
    const standing = await this.#rates.take(reads ? "reads" : "writes", counted);
    return standing === null || standing.allowed ? null : this.#tooOften(standing, asked);
  }

  /**
   * null: whoever shows nothing may send one more. It is counted for the address, before anything is kept or asked by the name of the
   * sandbox: names can be invented without end, and each would cost an object call and a place among the windows.
   */
  async strangerTooOften(request: Request): Promise<Problem | null> {
    const address = addressOf(request);
    if (address === null) return null;
    const spent = this.#rates.spent("auth_failures", address);
    if (spent !== null) return this.#tooOften(spent, failed);
    const standing = await this.#rates.take("traffic", address);
    return standing === null || standing.allowed ? null : this.#tooOften(standing, fromAddress);
  }

  /** What a session refused to a request without a credential: its address may not go on trying names. */
  strangerRefused(request: Request, problem: Problem): Promise<Problem> {
    return this.#failed(request, problem);
  }

  async admin(request: Request): Promise<Reply<null>> {
    const address = addressOf(request);
    const spent = address === null ? null : this.#rates.spent("auth_failures", address);
    if (spent !== null) return refused(this.#tooOften(spent, failed));
    if ((await this.operatorOfCookie(request)) !== null) return { ok: true, value: null };
    const admin = await authenticateAdmin(request, this.#config.secrets);
    return admin.ok ? admin : refused(await this.#failed(request, admin.problem));
  }

  tenantOfCookie(request: Request) {
    const { secrets } = this.#config;
    const isRevoked = (...key: Parameters<KeyCache["isRevoked"]>) => this.isRevoked(...key);
    return tenantOfCookie(request, secrets, this.#clock.now(), isRevoked);
  }

  operatorOfCookie(request: Request) {
    return operatorOfCookie(request, this.#config.secrets, this.#clock.now());
  }

  /** Counts a failure against its address. Answers a refusal once there are too many. */
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
const fromAddress = ({ resetMs }: Standing): string =>
  `Too many requests without a credential came from this address, so this one was not looked at. Wait ${Math.ceil(resetMs / 1_000)} s and send it again as it is.`;
const failed = ({ resetMs }: Standing): string =>
  `Too many requests from this address carried no valid credential, so this one was not looked at. Check the key, wait ${Math.ceil(resetMs / 1_000)} s and try again.`;
