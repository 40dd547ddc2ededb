/** Progress on stderr: one line that is refreshed on a terminal, a plain line for each step elsewhere. */
import { progress, spinner } from "@clack/prompts";
import type { Screen } from "./screen.ts";

export interface Progress {
  say(text: string): void;
  done(text: string): void;
  failed(text: string): void;
}

const silent: Progress = { say: () => {}, done: () => {}, failed: () => {} };

export function startProgress(screen: Screen, text: string): Progress {
  if (screen.form.json || screen.form.quiet) return silent;
  if (!screen.isLive) {
    const note = (line: string) => screen.note(line);
    note(text);
    return { say: note, done: note, failed: note };
  }
  // The command handles Ctrl-C. If the spinner did, the process would exit before the session is ended.
  const shown = spinner({
    output: process.stderr,
    signal: new AbortController().signal,
    withGuide: false,
    onCancel: () => {},
  });
  shown.start(text);
  return {
    say: (line) => shown.message(line),
    done: (line) => shown.stop(line),
    failed: (line) => shown.error(line),
  };
}

export interface Bar {
  advance(by: number, text: string): void;
  done(text: string): void;
}

/** Progress of work in bulk, of `total` steps. */
export function startBar(screen: Screen, total: number, text: string): Bar {
  if (screen.form.json || screen.form.quiet) return { advance: () => {}, done: () => {} };
  if (!screen.isLive) return { advance: (_, line) => screen.note(line), done: (line) => screen.note(line) };
  const shown = progress({ max: Math.max(1, total), output: process.stderr, withGuide: false });
  shown.start(text);
  return { advance: (by, line) => shown.advance(by, line), done: (line) => shown.stop(line) };
}
