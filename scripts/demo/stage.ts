/** How the demo looks: chapters, lines, one line that renews itself on a terminal. Plain text where there is no terminal or NO_COLOR is set. */
import { styleText } from "node:util";

export const bold = (text: string): string => styleText("bold", text);
export const dim = (text: string): string => styleText("dim", text);
export const good = (text: string): string => styleText("green", text);
export const bad = (text: string): string => styleText("red", text);
const accent = (text: string): string => styleText("cyan", text);

const live = process.stdout.isTTY === true;
let renewing = false;

export function say(text = ""): void {
  settle();
  process.stdout.write(`${text}\n`);
}

export function chapter(number: number, title: string): void {
  say(`\n${accent(bold(String(number)))}  ${bold(title)}`);
}

export function line(text: string): void {
  say(`   ${text}`);
}

/** A fact with the seconds since `since` before it. */
export function timed(since: number, text: string): void {
  line(`${dim(`${((performance.now() - since) / 1_000).toFixed(1).padStart(5)} s`)}  ${text}`);
}

/** Replaces the last renewed line on a terminal; elsewhere it says nothing, so that a log stays short. */
export function renew(text: string): void {
  if (!live) return;
  process.stdout.write(`\r\u001b[2K   ${text}`);
  renewing = true;
}

/** Takes the renewed line away. */
export function settle(): void {
  if (renewing) process.stdout.write("\r\u001b[2K");
  renewing = false;
}

/** `full` of `width` cells. */
export function bar(share: number, width = 24): string {
  const full = Math.round(Math.min(Math.max(share, 0), 1) * width);
  return `${accent("█".repeat(full))}${dim("░".repeat(width - full))}`;
}

export function clock(instant: string): string {
  return `${instant.slice(11, 19)} UTC`;
}

/** To the millisecond, where the distance of two instants matters. */
export function exactClock(instant: string): string {
  return instant.slice(11, 23);
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

/** "59 min 54 s": for a person, so no more than two units. */
export function span(ms: number): string {
  const whole = Math.max(0, Math.round(ms / 1_000));
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
}
