/** Jobs in a terminal. */
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { disposeInstances, removeDirectories, startInstance } from "../../support/wrapper-instance.ts";

afterEach(disposeInstances);
afterAll(removeDirectories);

describe("a job with tty", () => {
  it("has a terminal of 80 by 24, and its exit code is its own [TRA-6]", async () => {
    const instance = await startInstance();
    await instance.renew();
    await instance.start({ id: "shell", command: "test -t 0 && test -t 1 && stty size; exit 3", tty: true });
    expect(await instance.ended("shell")).toMatchObject({ state: "failed", exit_code: 3, tail: "24 80\r\n" });
    await instance.start({ id: "words", argv: ["printf", "%s|", "two words", "it's", "$HOME"], tty: true });
    expect(await instance.ended("words")).toMatchObject({ state: "succeeded", tail: "two words|it's|$HOME|" });
  });

  it("reads what is typed, and is ended with its terminal [TRA-6]", async () => {
    const instance = await startInstance();
    await instance.renew();
    await instance.start({
      id: "typed",
      command: "stty -echo; echo ready; read line; echo got $line",
      tty: true,
      stdin_open: true,
    });
    await instance.call("POST", "/jobs/typed/stdin", "hello\n");
    expect((await instance.ended("typed")).tail).toContain("got hello");
    await instance.start({ id: "endless", command: "sleep 3000", tty: true });
    await instance.call("DELETE", "/jobs/endless?as=cancelled");
    expect(await instance.ended("endless")).toMatchObject({ state: "cancelled" });
  });
});
