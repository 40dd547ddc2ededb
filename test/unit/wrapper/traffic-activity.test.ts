/** What counts as activity in a chunk of traffic. */
import { afterEach, expect, it, vi } from "vitest";
import { isEventComment, isKeepAliveFrame, TrafficActivity } from "../../../wrapper/agent/traffic/activity.ts";

it.each([
  [":\n\n", true],
  [": heartbeat\r\n\r\n", true],
  ["\n", true],
  [": one\ndata: x\n\n", false],
  ["data: : \n\n", false],
])("an event stream's chunk %j is a comment: %s [TRA-8]", (text, expected) => {
  expect(isEventComment(Buffer.from(text))).toBe(expected);
});

it("a chunk of colons is judged without trying every way to split it", () => {
  for (const text of [`${":".repeat(250)}\nx`, `${":\r".repeat(120)}x`, `${"::".repeat(120)}\n\nx`])
    for (let round = 0; round < 100; round += 1) expect(isEventComment(Buffer.from(text))).toBe(false);
  // Where it tried them all, one of these would take seconds: three hundred would not end within the bound of any test.
});

it("a lone ping or pong keeps a WebSocket alive, and anything more is activity", () => {
  expect(isKeepAliveFrame(Buffer.from([0x89, 0x00]))).toBe(true);
  expect(isKeepAliveFrame(Buffer.from([0x8a, 0x81, 1, 2, 3, 4, 5]))).toBe(true);
  expect(isKeepAliveFrame(Buffer.from([0x89, 0x00, 0x81, 0x01, 0x61]))).toBe(false);
});

afterEach(() => vi.useRealTimers());

it("a chunk that passes just after another counts as activity, and costs no look at the clock [TRA-8]", () => {
  vi.useFakeTimers();
  let reads = 0;
  const clock = {
    now: () => {
      reads += 1;
      return performance.now();
    },
  };
  const activity = new TrafficActivity(clock);
  vi.advanceTimersByTime(5_000);
  for (let chunk = 0; chunk < 1_000; chunk += 1) activity.note();
  expect(reads).toBeLessThan(5);
  vi.advanceTimersByTime(50);
  activity.note();
  vi.advanceTimersByTime(10_000);
  // The last of them, up to the length of a window.
  expect(activity.idleMs).toBeLessThanOrEqual(10_000);
  expect(activity.idleMs).toBeGreaterThanOrEqual(9_900);
  activity.note();
  expect(activity.idleMs).toBe(0);
});
