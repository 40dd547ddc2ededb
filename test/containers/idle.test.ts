/** What an idle session costs: each time that the platform wakes one of its two objects is counted, in workerd, with a real container. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { until } from "../support/until.ts";
import { describeOnContainers, say } from "./support/real-containers.ts";
import { RealMooring } from "./support/real-mooring.ts";
import { type Wake, wakesIn } from "./support/wakes.ts";

/** Longer than the ten seconds after which workerd takes an object that nobody needs out of memory. */
const renewSeconds = 12;
const renewals = 2;
const renewal = "POST /lease";
const vars = {
  LEASE_TTL_SECONDS: "45",
  LEASE_RENEW_SECONDS: String(renewSeconds),
  LEASE_RETRY_SECONDS: "2",
  OBSERVE_TIMEOUT_SECONDS: "5",
  ALARM_SLIP_SECONDS: "2",
};

describeOnContainers("an idle session", () => {
  const mooring = new RealMooring(vars, null, "test/containers/support/counted-worker.ts");
  beforeAll(() => mooring.start());
  afterAll(() => mooring.stop());

  it("wakes its objects for renewals and for nothing else; between them both are out of memory [CON-5]", async () => {
    const id = await mooring.running();
    await mooring.job(id, "echo here");
    const wakes = (): readonly Wake[] => wakesIn(mooring.log());
    const count = (of: Wake, among: readonly Wake[]): number =>
      among.filter(({ object, what }) => object === of.object && what === of.what).length;
    const renewed = { object: "container", what: renewal } as const;
    const next = async (number: number, from: number): Promise<void> =>
      void (await until(
        `renewal ${number}`,
        () => count(renewed, wakes().slice(from)) >= number,
        3 * number * renewSeconds * 1_000,
      ));
    // Whatever the job left to be told goes with the first one.
    await next(1, wakes().length);
    const from = wakes().length;
    await next(renewals, from);
    const seen = wakes().slice(from);
    const told = seen.map(({ object, what }) => `${object}: ${what}`).join(", ");
    say(`an idle session, ${renewals} renewals: ${told}`);
    const called = seen.filter(({ what }) => what !== "constructor");
    expect(called).toEqual(
      Array.from({ length: renewals }).flatMap(() => [{ object: "session", what: "alarm" }, renewed]),
    );
    await mooring.ended(id);
  });
});
