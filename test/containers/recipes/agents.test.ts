/**
 * The recipe `agents` as an operator uses it, from a Debian with apt and nothing more: built with Internet, named in TEMPLATES, used by a session,
 * lost, and built again. It downloads some hundred megabytes of packages, so it runs only on request.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { imageWithApt } from "../../../scripts/containers/base-image.ts";
import { must, run } from "../../../scripts/containers/run-command.ts";
import { repository } from "../../../scripts/repository.ts";
import { askOver } from "../../../scripts/probe/ask-over.ts";
import { buildTemplate, type BuiltTemplate } from "../../../scripts/templates/build-template.ts";
import { recipes } from "../../../scripts/templates/recipes.ts";
import { type DevWorker, startDevWorker } from "../support/dev-worker.ts";
import { until } from "../../support/until.ts";
import { describeOnContainers, say, timed } from "../support/real-containers.ts";
import { RealMooring, type SessionView } from "../support/real-mooring.ts";

const buildMs = 900_000;
const mebibyte = 2 ** 20;
const tools = [
  "git --version",
  "python3 -c 'print(6 * 7)'",
  "node -p '6 * 7'",
  "rg --version",
  "curl --version",
  "cc --version",
];
const templatesOf = ({ snapshot }: BuiltTemplate) => ({ TEMPLATES: JSON.stringify({ agents: { snapshot } }) });
/** The engine's own name of a snapshot. */
const imageOf = ({ snapshot }: BuiltTemplate): string => `workerd-container-snap-${snapshot}`;

describeOnContainers("the template for agents", () => {
  let dev: DevWorker;
  const mooring = new RealMooring();
  beforeAll(async () => {
    const image = imageWithApt(process.env["DOCKER_HOST"] ?? "", say);
    const config = join(repository, "scripts/probe/wrangler.toml");
    dev = await startDevWorker({ config, worker: "mooring-probe", vars: { LOCAL_IMAGE: image } });
  }, buildMs);
  afterAll(async () => {
    await mooring.stop();
    await dev?.stop();
  });

  const built = async (): Promise<BuiltTemplate> => {
    const recipe = recipes["agents"];
    if (recipe === undefined) throw new Error("There is no recipe `agents`.");
    const ask = askOver(dev.url, null, buildMs);
    const { value, ms } = await timed(() => buildTemplate(ask, `box-${crypto.randomUUID()}`, "agents", recipe, say));
    say(`template agents: built in ${(ms / 1_000).toFixed(0)} s, ${(value.bytes / mebibyte).toFixed(0)} MiB`);
    return value;
  };
  const used = async (): Promise<void> => {
    const { value: id, ms } = await timed(() => mooring.running({ template: "agents" }));
    say(`template agents: a session runs after ${(ms / 1_000).toFixed(1)} s`);
    const said = await mooring.job(id, `id -un && ${tools.join(" && ")}`);
    expect(said).toMatch(/^user\ngit version .*\n42\n42\nripgrep /);
    const view = await mooring.call<SessionView>("GET", `/v1/sessions/${id}`);
    expect(view).toMatchObject({ template: "agents", jobs_apart: { proven: true } });
    await mooring.ended(id);
  };

  it(
    "has git, python3, node, ripgrep, curl and a compiler; when its snapshot is gone a session says so, and the recipe makes it again",
    async () => {
      const first = await built();
      await mooring.deploy(templatesOf(first));
      await used();

      must("docker", ["rmi", "-f", imageOf(first)]);
      const { id } = await mooring.call<SessionView>("POST", "/v1/sessions", { template: "agents" });
      await until(
        "the session says that its start failed",
        async () => {
          const { data } = await mooring.call<{ data: readonly object[] }>(
            "GET",
            `/v1/sessions/${id}/events?limit=100`,
          );
          return JSON.stringify(data).includes("start_failed");
        },
        buildMs,
      );
      await mooring.ended(id);

      const second = await built();
      expect(second.snapshot).not.toBe(first.snapshot);
      await mooring.deploy(templatesOf(second));
      await used();
      run("docker", ["rmi", "-f", imageOf(second)]);
    },
    3 * buildMs,
  );
});
