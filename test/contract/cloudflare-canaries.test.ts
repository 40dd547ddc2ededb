/**
 * Whether the tests over the stand-in can fail: each fence below makes one mistake that the SDK invites, and the named check must
 * notice. The unbroken one keeps every check.
 */
import { AssertionError } from "node:assert/strict";
import { describe, expect, it } from "vitest";
import { succeeded } from "../../src/domain/state/failure.ts";
import type { ToolMember } from "../../src/protocol/sandbox/toolbox.ts";
import type { ContainerPlatform } from "../../src/sandbox/cloudflare/platform/container-platform.ts";
import { Fence } from "../../src/sandbox/cloudflare/fence/fence.ts";
import { FenceRecords } from "../../src/sandbox/cloudflare/fence/fence-records.ts";
import type { FenceDependencies } from "../../src/sandbox/cloudflare/fence/fence-dependencies.ts";
import type { ObjectAim } from "../../src/sandbox/cloudflare/object-api.ts";
import type { Shape } from "../../src/sandbox/http-reply.ts";
import { Toolbox } from "../../src/sandbox/cloudflare/platform/toolbox-calls.ts";
import type { AccountOptions } from "../support/cloudflare/stand-in-account.ts";
import { StandInStorage } from "../support/cloudflare/stand-in-platform.ts";
import { systemClock } from "../support/system-runtime.ts";
import { cloudflareChecks } from "./checks/cloudflare-checks.ts";
import { type CloudflareCheck, CloudflareWorld } from "./cloudflare-harness.ts";
import { providerChecks, runCheck } from "./provider-check.ts";

type Mistake = Pick<AccountOptions, "makeFence" | "spoil">;

async function run(check: CloudflareCheck, mistake: Mistake = {}): Promise<"kept" | "not checked"> {
  const world = new CloudflareWorld(mistake);
  try {
    if (check.needs?.some((power) => !world.has(power)) === true) return "not checked";
    await check.run(world);
    return "kept";
  } finally {
    await world.close();
  }
}

describe("the fence and the behaviour of containers", { concurrent: true }, () => {
  for (const check of cloudflareChecks) {
    it(check.name, async (context) => {
      if ((await run(check)) === "not checked") context.skip(`needs ${check.needs?.join(", ")}`);
    });
  }
});

/** A platform with some calls replaced, which is how a careless provider would use it. */
function using(change: (honest: ContainerPlatform) => Partial<ContainerPlatform>): Mistake {
  return {
    spoil: (honest) => {
      const changed = new Map<PropertyKey, unknown>(Object.entries(change(honest)));
      return new Proxy(honest, {
        get: (_, name) => {
          if (changed.has(name)) return changed.get(name);
          const member: unknown = Reflect.get(honest, name, honest);
          return typeof member === "function" ? (member.bind(honest) as unknown) : member;
        },
      });
    },
  };
}

/** A fence with some of its dependencies replaced. */
function made(change: (dependencies: FenceDependencies) => Partial<FenceDependencies>): Mistake {
  return { makeFence: (dependencies) => new Fence({ ...dependencies, ...change(dependencies) }) };
}

/** A toolbox that is told something else of members than what is so, in whatever it is ordered. */
function blind(change: (member: ToolMember) => ToolMember): Mistake {
  const changed = (order: object): object =>
    Object.fromEntries(
      Object.entries(order).map(([name, value]: [string, unknown]) => {
        if (name === "member") return [name, change(value as ToolMember)];
        return [
          name,
          Array.isArray(value) ? value.map((each: unknown) => (isObject(each) ? changed(each) : each)) : value,
        ];
      }),
    );
  return made(({ platform, terms, clock }) => ({
    toolbox: new (class extends Toolbox {
      override run<T>(tool: string, order: object, shape: Shape<T>, ms: number, changes: boolean) {
        return super.run(tool, changed(order), shape, ms, changes);
      }
    })(platform, terms.paths, clock),
  }));
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

class Gateless extends Fence {
  override refuseToStart(): void {}
}

const mistakes: readonly { readonly sins: string; readonly caughtBy: string; readonly mistake: Mistake }[] = [
  {
    sins: "lets the SDK start whatever it is asked about",
    caughtBy: "a container that claims to run and does not",
    mistake: { makeFence: (dependencies) => new Gateless(dependencies) },
  },
  {
    sins: "lets a start land whenever it does",
    caughtBy: "a start that lands after its launch was given up",
    mistake: { makeFence: (dependencies) => new Gateless(dependencies) },
  },
  {
    sins: "asks the SDK whether the container runs, by a call that starts it",
    caughtBy: "nothing but a launch starts a container",
    mistake: {
      makeFence: (dependencies) => new Gateless(dependencies),
      ...using((honest) => ({
        running: () => {
          void honest.listProcesses().catch(() => {});
          return true;
        },
      })),
    },
  },
  {
    sins: "takes the container's word that it does not run",
    caughtBy: "a container that denies to run",
    mistake: using(() => ({ connect: () => Promise.reject(new Error("The container is not listening to port 8700")) })),
  },
  {
    sins: "waits as long as the SDK does",
    caughtBy: "a frozen container is ended",
    mistake: made(() => ({ clock: { now: () => 0, sleep: () => new Promise(() => {}) } })),
  },
  {
    sins: "destroys by the SDK alone",
    caughtBy: "a destroy of the SDK that hangs",
    mistake: using((honest) => ({ containerDestroy: () => honest.sdkDestroy() })),
  },
  {
    sins: "believes that a destroy destroys",
    caughtBy: "a container that cannot be destroyed",
    mistake: {
      makeFence: (dependencies) =>
        new (class extends Fence {
          override stopInstance() {
            return Promise.resolve(succeeded({ remaining: [] }));
          }
          override look(...call: Parameters<Fence["look"]>) {
            return super.look(...call).then((seen) => ({ ...seen, answer: "absent" as const, residue: [] }));
          }
        })(dependencies),
    },
  },
  {
    sins: "counts every call as activity",
    caughtBy: "an accepted renewal keeps the container awake",
    mistake: using((honest) => ({
      connect: (...call) => {
        honest.renewActivity(systemClock.now());
        return honest.connect(...call);
      },
    })),
  },
  {
    sins: "counts a renewal that nobody proved",
    caughtBy: "a renewal that an impostor answers",
    mistake: {
      makeFence: (dependencies) =>
        new (class extends Fence {
          override callWrapper(...call: Parameters<Fence["callWrapper"]>) {
            dependencies.records.stayAwakeUntil(dependencies.clock.now() + 600_000);
            return super.callWrapper(...call);
          }
        })(dependencies),
    },
  },
  {
    sins: "leaves the end of an idle container to its SIGTERM",
    caughtBy: "a container that nobody renewed is ended",
    mistake: using((honest) => ({ sdkDestroy: async () => {}, containerDestroy: async () => void honest.running() })),
  },
  {
    sins: "lets the platform's clock run from the launch",
    caughtBy: "a renewed container outlives",
    mistake: {
      makeFence: (dependencies) => {
        const records = dependencies.records;
        const once = records.stayAwakeUntil.bind(records);
        records.stayAwakeUntil = (at) => {
          if (records.awakeUntil === null) once(at);
        };
        return new Fence(dependencies);
      },
    },
  },
  {
    sins: "keeps what it armed and retired in memory",
    caughtBy: "a retirement is not undone by a restart",
    mistake: made((dependencies) => ({ records: new FenceRecords(new StandInStorage(), () => dependencies.ids.id()) })),
  },
  {
    sins: "believes the SDK's list of processes",
    caughtBy: "a second wrapper of a generation",
    mistake: made(({ platform, terms, clock }) => ({
      toolbox: new (class extends Toolbox {
        override async look() {
          const listed = await platform.listProcesses();
          return succeeded(listed.map(({ id, pid }) => ({ kind: "wrapper" as const, instanceId: id as never, pid })));
        }
      })(platform, terms.paths, clock),
    })),
  },
  {
    sins: "ends the container whoever is in it",
    caughtBy: "a stop strikes its instance",
    mistake: {
      makeFence: (dependencies) =>
        new (class extends Fence {
          override stopInstance(aim: Parameters<Fence["stopInstance"]>[0], grace: number, ms: number) {
            return super.stopInstance({ ...aim, instanceId: null }, grace, ms);
          }
        })(dependencies),
    },
  },
  {
    sins: "ends the container with its member",
    caughtBy: "a stop of one member",
    mistake: {
      makeFence: (dependencies) =>
        new (class extends Fence {
          override stopInstance({ container: _, ...aim }: ObjectAim, grace: number, ms: number) {
            return super.stopInstance({ ...aim, instanceId: null }, grace, ms);
          }
        })(dependencies),
    },
  },
  {
    sins: "gives a port twice",
    caughtBy: "no two living members",
    mistake: {
      makeFence: (dependencies) => {
        const { roster } = dependencies.records;
        const take = roster.take.bind(roster);
        // The seat that was given first is everybody's.
        roster.take = (sandboxId, now) => {
          const seat = take(sandboxId, now);
          const { storage } = dependencies.platform;
          const row = storage.get("mooring:shared") as { seats: Record<string, { number: number }> };
          const seats = Object.entries(row.seats).map(([name, each]) => [name, { ...each, number: 1 }]);
          storage.put("mooring:shared", { ...row, seats: Object.fromEntries(seats) });
          return seat;
        };
        return new Fence(dependencies);
      },
    },
  },
  {
    sins: "destroys a container that was not retired",
    caughtBy: "a container is destroyed only when",
    mistake: {
      makeFence: (dependencies) =>
        new (class extends Fence {
          override async destroyContainer(ms: number) {
            await super.retireContainer(ms);
            return super.destroyContainer(ms);
          }
        })(dependencies),
    },
  },
  {
    sins: "lets one member's renewals alone keep the container awake",
    caughtBy: "a renewal of any member",
    mistake: {
      makeFence: (dependencies) =>
        new (class extends Fence {
          override async callWrapper(...[call, ms]: Parameters<Fence["callWrapper"]>) {
            const { records } = dependencies;
            const before = records.awakeUntil;
            const answer = await super.callWrapper(call, ms);
            if (before !== null && call.aim.sandboxId !== records.roster.members[0]) records.stayAwakeUntil(before);
            return answer;
          }
        })(dependencies),
    },
  },
  {
    sins: "opens the gate of a container that is retired",
    caughtBy: "a start that is overtaken by the container's retirement",
    mistake: { makeFence: (dependencies) => new Gateless(dependencies) },
  },
  {
    sins: "calls a member gone while something could not be inspected",
    caughtBy: "a member is unknown, not absent",
    mistake: blind((member) => ({ ...member, age_ms: 0 })),
  },
  {
    sins: "removes workspaces while something could not be inspected",
    caughtBy: "reclaiming removes nothing when processes",
    mistake: blind((member) => ({ ...member, age_ms: 0 })),
  },
  {
    sins: "finds a member by what its processes say of themselves, and claims more",
    caughtBy: "what a member's jobs hid",
    mistake: blind((member) => ({ ...member, user: null })),
  },
  {
    sins: "forgets who had which seat",
    caughtBy: "an object that is evicted knows its members",
    mistake: {
      makeFence: (dependencies) => {
        dependencies.platform.storage.put("mooring:shared", { retired: false, seats: {}, last: 0 });
        return new Fence(dependencies);
      },
    },
  },
  {
    sins: "takes the word of a shared container that it does not run",
    caughtBy: "a shared container that denies to run",
    mistake: using(() => ({ connect: () => Promise.reject(new Error("The container is not listening to port 3000")) })),
  },
  {
    sins: "acknowledges what it did not read back",
    caughtBy: "what the bucket spoiled",
    mistake: using(() => ({
      digest: () => ({ update: async () => {}, end: async () => "the same for everything" }),
    })),
  },
];

describe("a check notices a provider that", { concurrent: true }, () => {
  it("makes no mistake, by keeping it", async () => {
    const [first] = cloudflareChecks;
    await run(
      first!,
      using(() => ({})),
    );
    await run(
      first!,
      made(() => ({})),
    );
  });

  for (const { sins, caughtBy, mistake } of mistakes) {
    it(sins, async (context) => {
      const own = cloudflareChecks.filter(({ name }) => name.startsWith(caughtBy));
      const kit = providerChecks.filter(({ name }) => name.startsWith(caughtBy));
      expect([...own, ...kit].map(({ name }) => name)).toHaveLength(1);
      const harness = { open: async () => new CloudflareWorld(mistake) };
      const late = systemClock.sleep(20_000).then(() => "it never came back");
      const outcome = await Promise.race([
        late,
        ...own.map((check) => run(check, mistake).catch((error: unknown) => error)),
        ...kit.map((check) => runCheck(check, harness).catch((error: unknown) => error)),
      ]);
      if (outcome === "not checked") return context.skip("this machine lacks a power that the check needs");
      // A broken promise, not a broken test.
      if (outcome !== "it never came back") expect(outcome).toBeInstanceOf(AssertionError);
    });
  }
});
