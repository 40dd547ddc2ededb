/** The small parts that every page is made of. */
import { signal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { ProblemBody } from "../../protocol/problem.ts";
import { now } from "../data/clock.ts";
import type { Live } from "../data/live.ts";
import { plain, type Tone, toneOf } from "../words/states.ts";
import { ago, duration, utc } from "../words/time.ts";
import { Icon } from "./icon.tsx";

/** A state as a coloured dot and a word. The colour alone must not carry the meaning. */
export function Chip({ tone, children }: { readonly tone: Tone; readonly children: ComponentChildren }) {
  return (
    <span class={`chip ${tone}`}>
      <i aria-hidden="true" />
      {children}
    </span>
  );
}

export function Status({ status }: { readonly status: string }) {
  return <Chip tone={toneOf(status)}>{plain(status)}</Chip>;
}

/** A relative time. UTC is shown on hover and given to machines. */
export function When({ at }: { readonly at: string | null }) {
  if (at === null) return <span class="faint">–</span>;
  return (
    <time dateTime={at} title={utc(at)}>
      {ago(Date.parse(at), now.value)}
    </time>
  );
}

/** How long a state has lasted. */
export function For({ since }: { readonly since: string }) {
  return (
    <time dateTime={since} title={utc(since)}>
      for {duration(now.value - Date.parse(since))}
    </time>
  );
}

/** A sentence of Mooring's. The instants in it are shown as all others are: `at …` reads `in 5 min`, `since …` reads `for 5 min`. */
export function Words({ of }: { readonly of: string }) {
  const parts = of.split(/((?:\b(?:at|since) )?\d{4}-\d\d-\d\dT[\d:.]+Z)/);
  return (
    <>
      {parts.map((part, index) => {
        if (index % 2 === 0) return part;
        const [at, word] = part.split(" ").reverse();
        return word === "since" ? <For key={index} since={at ?? ""} /> : <When key={index} at={at ?? ""} />;
      })}
    </>
  );
}

export function Id({ of, href }: { readonly of: string; readonly href?: string }) {
  return href === undefined ? (
    <code class="id">{of}</code>
  ) : (
    <a class="id" href={href}>
      {of}
    </a>
  );
}

/** Announced to a screen reader without interrupting it, and shown for some seconds. */
export const announcement = signal("");
let silence: ReturnType<typeof setTimeout> | undefined;
export function announce(text: string): void {
  announcement.value = text;
  clearTimeout(silence);
  silence = setTimeout(() => (announcement.value = ""), 4_000);
}

export async function copyText(text: string): Promise<void> {
  await navigator.clipboard
    .writeText(text)
    .then(() => announce("Copied."))
    .catch(() => announce("The browser did not let the console copy. Select the text and copy it yourself."));
}

export function Copy({ text, label }: { readonly text: string; readonly label: string }) {
  const done = useSignal(false);
  return (
    <button
      type="button"
      class="ghost tiny"
      aria-label={label}
      title={label}
      onClick={() => {
        void copyText(text).then(() => {
          done.value = true;
          setTimeout(() => (done.value = false), 1_500);
        });
      }}
    >
      <Icon name={done.value ? "check" : "copy"} />
    </button>
  );
}

/** The command line that does the same. */
export function Command({ line }: { readonly line: string }) {
  return (
    <div class="command">
      <Icon name="terminal" />
      <code tabIndex={0}>{line}</code>
      <Copy text={line} label="Copy the command that does the same" />
    </div>
  );
}

export function Problem({ problem, stale }: { readonly problem: ProblemBody; readonly stale?: number | null }) {
  return (
    <div class="note bad" role="alert">
      <strong>{problem.title}.</strong> {problem.detail}
      {problem.errors?.map((each) => (
        <div key={each.pointer} class="small">
          <code>{each.pointer}</code> {each.detail}
        </div>
      ))}
      {stale != null && <div class="small">What is shown below is from {ago(stale, now.value)}.</div>}
      {problem.request_id !== "" && <div class="small faint">Request {problem.request_id}</div>}
    </div>
  );
}

export function Empty({ title, children }: { readonly title: string; readonly children?: ComponentChildren }) {
  return (
    <div class="empty">
      <strong>{title}</strong>
      <p>{children}</p>
    </div>
  );
}

/** Grey lines where content will appear, so that nothing jumps. */
export function Waiting({ lines }: { readonly lines: number }) {
  return (
    <div class="waiting" aria-busy="true" aria-label="Loading">
      {Array.from({ length: lines }, (_, index) => (
        <i key={index} class={`w${index % 4}`} />
      ))}
    </div>
  );
}

/** What a repeated read has to say beside its data: its problem, with the age of what is still shown, or that it is under way. */
export function Reading({ of, lines = 6 }: { readonly of: Live<unknown>; readonly lines?: number }) {
  return (
    <>
      {of.problem !== null && <Problem problem={of.problem} stale={of.data === null ? null : of.at} />}
      {of.loading && of.data === null && <Waiting lines={lines} />}
    </>
  );
}

export function Figure({
  label,
  value,
  tone,
  href,
  children,
}: {
  readonly label: string;
  readonly value: ComponentChildren;
  readonly tone?: Tone | undefined;
  readonly href?: string | undefined;
  readonly children?: ComponentChildren;
}) {
  const inner = (
    <>
      <span class="label">{label}</span>
      <span class={`value ${tone ?? ""}`}>{value}</span>
      {children !== undefined && <span class="small faint">{children}</span>}
    </>
  );
  return href === undefined ? (
    <div class="figure">{inner}</div>
  ) : (
    <a class="figure" href={href}>
      {inner}
    </a>
  );
}
