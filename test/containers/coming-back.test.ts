/** A session comes back on real containers: rebuilt from what is stored of it, rebuilt while it lives, and resumed by a request that did not know that it was paused. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { must } from "../../scripts/containers/run-command.ts";
import { until } from "../support/until.ts";
import { describeOnContainers, say, timed } from "./support/real-containers.ts";
import { shortLeases } from "./support/leases.ts";
import { containerOf, containersOf, RealMooring, type SessionView } from "./support/real-mooring.ts";

const makeTree =
  "mkdir -p 'tree/a b/deep' && seq 1000 > 'tree/a b/deep/numbers' && ln -s 'a b/deep/numbers' tree/link && chmod 640 'tree/a b/deep/numbers' && touch -d @1000000000 tree/old && mkfifo tree/pipe";
/** Names, kinds, modes, owners and links of all of it, and what is in the files. */
const describeTree =
  "find tree -printf '%P %y %m %u %l\\n' | sort; stat -c %Y tree/old; find tree -type f -print0 | sort -z | xargs -0 sha256sum";
const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;

describeOnContainers("a session that comes back", () => {
  const mooring = new RealMooring(shortLeases);
  beforeAll(() => mooring.start());
  afterAll(() => mooring.stop());

  const view = (id: string): Promise<SessionView> => mooring.call("GET", `/v1/sessions/${id}`);
  const rebuild = (id: string): Promise<unknown> =>
    mooring.call("POST", `/v1/sessions/${id}/rebuild`, { confirm: true });
  const runsAsAnother = (id: string, than: SessionView): Promise<SessionView> =>
    until(
      "another generation runs",
      async () => {
        const now = await view(id);
        return now.status === "running" && now.generation !== than.generation ? now : null;
      },
      90_000,
    );

  it(
    "one whose sandbox is gone is rebuilt from what is stored of it: its settings, its env, its setup, and nothing else [CON-12, REB-1]",
    { timeout: 200_000 },
    async () => {
      const id = await mooring.running({
        on_loss: "hold",
        env: { GREETING: "of this session" },
        labels: { kept: "yes" },
        network: { mode: "closed" },
        workspace: { setup: [makeTree, 'echo "$GREETING" > tree/greeting'] },
      });
      const before = await view(id);
      const tree = await mooring.job(id, describeTree);
      await mooring.job(id, "echo only here > unsaved");
      must("docker", ["kill", containerOf(id)]);
      await mooring.becomes(id, "lost");
      expect(containersOf(id)).toEqual([]);
      const rebuilt = await timed(async () => {
        await rebuild(id);
        return runsAsAnother(id, before);
      });
      expect(containersOf(id)).toHaveLength(1);
      expect(await mooring.job(id, describeTree)).toBe(tree);
      expect(await mooring.job(id, 'echo "$GREETING"; test -e unsaved || echo gone')).toBe("of this session\ngone\n");
      expect(await mooring.job(id, "curl -s -o /dev/null -m 20 -w '%{http_code}' http://example.com/ || true")).toBe(
        "403",
      );
      expect(rebuilt.value).toMatchObject({ labels: { kept: "yes" }, network: { mode: "closed" } });
      await mooring.ended(id);
      say(`a lost session is rebuilt from what is stored of it: runs after ${seconds(rebuilt.ms)}`);
    },
  );

  it(
    "a live one is saved before it is rebuilt, and one that cannot be saved goes on in its container [CON-12, REB-2]",
    { timeout: 200_000 },
    async () => {
      const id = await mooring.running();
      await mooring.job(id, makeTree);
      const tree = await mooring.job(id, describeTree);
      const first = await view(id);
      const container = containerOf(id);
      mooring.inContainer(id, "mv $(command -v tar) /root-only-tar");
      await rebuild(id).catch(() => {});
      await until(
        "the failure is told",
        async () => (await mooring.events(id)).some(({ type }) => type === "rebuild_failed"),
        60_000,
      );
      await mooring.becomes(id, "running");
      expect(containerOf(id)).toBe(container);
      expect((await view(id)).generation).toBe(first.generation);
      expect(await mooring.job(id, describeTree)).toBe(tree);
      mooring.inContainer(id, "mv /root-only-tar /usr/bin/tar");
      const rebuilt = await timed(async () => {
        await rebuild(id);
        return runsAsAnother(id, first);
      });
      expect(containersOf(id)).toHaveLength(1);
      expect(containerOf(id)).not.toBe(container);
      expect(await mooring.job(id, describeTree)).toBe(tree);
      await mooring.ended(id);
      say(`a live session is rebuilt with its files: runs in another container after ${seconds(rebuilt.ms)}`);
    },
  );

  it(
    "a request for a file wakes a paused one, and so do twenty at once with a job: one container starts, and the tree is the same [CON-12, CLK-15, TRA-7]",
    { timeout: 200_000 },
    async () => {
      const id = await mooring.running({ auto_resume: true });
      await mooring.job(id, makeTree);
      const tree = await mooring.job(id, describeTree);
      const pause = async (): Promise<void> => {
        await mooring.call("POST", `/v1/sessions/${id}/pause`, {});
        await mooring.becomes(id, "paused");
        expect(containersOf(id)).toEqual([]);
      };
      await pause();
      const woken = await timed(() => mooring.raw(`/v1/sessions/${id}/files?path=tree/link`));
      expect(woken.value.status).toBe(200);
      expect(await woken.value.text()).toMatch(/^1\n2\n[\d\n]+1000\n$/);
      expect(containersOf(id)).toHaveLength(1);
      expect(await mooring.job(id, describeTree)).toBe(tree);
      await pause();
      const asked = Array.from({ length: 20 }, () => mooring.raw(`/v1/sessions/${id}/files?path=tree/link`));
      const many = await timed(() => Promise.all([mooring.job(id, describeTree), ...asked]));
      const [described, ...answers] = many.value;
      expect(described).toBe(tree);
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
      await Promise.all(answers.map((each) => each.arrayBuffer()));
      expect(containersOf(id)).toHaveLength(1);
      await mooring.ended(id);
      say(
        `a paused session is woken by a request for a file: answered after ${seconds(woken.ms)}; twenty at once and a job: ${seconds(many.ms)}`,
      );
    },
  );
});
