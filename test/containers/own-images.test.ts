/** Images of one's own: one with a user of its own and more tools, one that lacks what jobs need to be kept apart, which is then said. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { must, run } from "../../scripts/containers/run-command.ts";
import { until } from "../support/until.ts";
import { describeOnContainers, localImage, say, timed } from "./support/real-containers.ts";
import { containersOf, RealMooring, type SessionView } from "./support/real-mooring.ts";

const images = {
  // Another number and another home for `user`, and a program of its own.
  own: `FROM ${localImage}
RUN sed -i 's|^user:.*|user:x:4321:4321::/srv/user:/bin/bash|' /etc/passwd && sed -i 's|^user:.*|user:x:4321:|' /etc/group
RUN printf '#!/bin/sh\\necho of my own\\n' > /usr/local/bin/own-tool && chmod 755 /usr/local/bin/own-tool
`,
  // Nothing in it can run the agent.
  nodeless: `FROM ${localImage}
RUN rm -f "$(command -v node)"
`,
  // Neither the user nor the program that lays down capabilities.
  bare: `FROM ${localImage}
RUN sed -i '/^user:/d' /etc/passwd /etc/group && rm -rf /home/user && rm -f /usr/bin/setpriv /bin/setpriv
`,
};
/** LAUNCH_TIMEOUT_SECONDS: what waits for all of it tells nothing at once. */
const startBoundMs = 60_000;
const tagOf = (name: string): string => `mooring-test/${name}`;
const templates = Object.fromEntries(Object.keys(images).map((name) => [name, { image: tagOf(name) }]));

describeOnContainers("images of one's own", () => {
  const mooring = new RealMooring({ TEMPLATES: JSON.stringify(templates) });
  beforeAll(async () => {
    for (const [name, file] of Object.entries(images)) {
      must("docker", ["build", "--tag", tagOf(name), "-"], { input: file, env: { DOCKER_BUILDKIT: "0" } });
    }
    await mooring.start();
  });
  afterAll(async () => {
    await mooring.stop();
    run("docker", ["rmi", "-f", ...Object.keys(images).map(tagOf)]);
  });

  it("an image with a user `user` and a tool of its own is used as it is [CON-9]", async () => {
    const id = await mooring.running({ template: "own" });
    expect(await mooring.job(id, "id -u; echo $HOME; own-tool")).toBe("4321\n/srv/user\nof my own\n");
    const view = await mooring.call<SessionView>("GET", `/v1/sessions/${id}`);
    expect(view).toMatchObject({ template: "own", jobs_apart: { proven: true } });
    await mooring.ended(id);
  });

  it("what an image makes impossible to prove is said by the session and by its receipt [CON-8]", async () => {
    const id = await mooring.running({ template: "bare" });
    const view = await mooring.call<SessionView>("GET", `/v1/sessions/${id}`);
    expect(view.jobs_apart?.proven).toBe(false);
    expect(view.jobs_apart?.unproven.join(" ")).toContain("setpriv");
    // As the agent itself: what the session says is so.
    expect(await mooring.job(id, "id -u")).toBe("0\n");
    const ended = await mooring.ended(id);
    expect(ended.teardown?.verified_absent_at).not.toBeNull();
    expect(ended.teardown?.evidence).toContain(
      "Not proven of its jobs when it started: Jobs have no user of their own",
    );
  });

  it("a start that cannot succeed is told at once, while the session still tries, and leaves nothing [CON-7, BUG-24]", async () => {
    const { id } = await mooring.call<SessionView>("POST", "/v1/sessions", { template: "nodeless" });
    const view = (): Promise<SessionView> => mooring.call("GET", `/v1/sessions/${id}`);
    const told = await timed(() =>
      until(
        "the reason is told",
        async () => {
          const now = await view();
          return now.failure === null ? null : now;
        },
        startBoundMs,
      ),
    );
    // Between two tries.
    expect(told.value.status).toBe("recovering");
    expect(told.value.failure).toContain("Node");
    say(`a container that cannot start its agent: told after ${(told.ms / 1_000).toFixed(1)} s`);
    const ended = await mooring.ended(id);
    expect(ended.teardown?.verified_absent_at).not.toBeNull();
    expect(containersOf(id)).toEqual([]);
  });
});
