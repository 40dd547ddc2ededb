/**
 * Draws the life of a session to scale. Every bar and mark has a tooltip; the list below it says the same to a screen
 * reader.
 */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { now } from "../../data/clock.ts";
import type { SessionEvent, Subject } from "../../data/session.ts";
import { fineDuration, utc, utcTime } from "../../words/time.ts";
import { type Bar, type Lane, lifeOf, type Mark } from "./life.ts";

const width = 1_000;
const left = 44;
const laneHeight = 46;
const top = 8;

export function Timeline({ subject, events }: { readonly subject: Subject; readonly events: readonly SessionEvent[] }) {
  const renewals = useRenewals(subject);
  const pointed = useSignal("");
  const life = lifeOf(subject, events, renewals);
  const ordinal = new Map(life.lanes.map(({ generation }, index) => [generation, index + 1]));
  if (life.lanes.length === 0) return <p class="faint">No sandbox was begun for it yet.</p>;
  const present = life.over ? life.to : Math.max(now.value, life.to);
  const nearest = life.planned.map(({ at }) => at).filter((at) => at > present);
  // An event that is planned far ahead would squeeze the past into a line, so at most as much future as past is shown.
  const span = Math.max(1_000, present - life.from);
  const ahead = life.over
    ? span * 0.02
    : Math.min(span * 0.35, Math.max(span * 0.06, ...nearest.map((at) => at - present)));
  const end = present + ahead;
  const x = (at: number) =>
    left + ((Math.min(end, Math.max(life.from, at)) - life.from) / (end - life.from)) * (width - left - 8);
  const height = top + life.lanes.length * laneHeight + 26;
  const planned = life.planned.filter(({ at }) => at <= end);
  return (
    <div class="timeline" tabIndex={0}>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label={`From ${utc(life.from)}: ${life.lanes.length} generations`}
      >
        <Axis from={life.from} to={end} x={x} y={height - 18} now={life.over ? null : present} />
        {life.lanes.map((lane, index) => (
          <LaneOf
            key={lane.generation}
            lane={lane}
            place={index + 1}
            y={top + index * laneHeight}
            x={x}
            present={present}
            end={end}
            point={(says) => (pointed.value = says)}
          />
        ))}
        {planned.map((mark) => (
          <g key={`${mark.at} ${mark.says}`} class="planned" onPointerEnter={() => (pointed.value = wordsOf(mark))}>
            <line x1={x(mark.at)} x2={x(mark.at)} y1={2} y2={height - 24} />
            <title>{wordsOf(mark)}</title>
          </g>
        ))}
        {!life.over && (
          <g class="now">
            <line x1={x(present)} x2={x(present)} y1={0} y2={height - 20} />
            <text x={x(present)} y={height - 6}>
              now
            </text>
          </g>
        )}
      </svg>
      <p class="small says" aria-hidden="true">
        {pointed.value === "" ? "Point at a bar or a mark: it says what happened." : pointed.value}
      </p>
      <ol class="unseen">
        {life.lanes.flatMap((lane) =>
          [
            ...lane.bars.map((bar) => ({
              at: bar.from,
              words: `sandbox ${ordinal.get(lane.generation)}, ${barWords(bar, present)}`,
            })),
            ...lane.marks
              .filter(({ kind }) => kind !== "renewal")
              .map((mark) => ({ at: mark.at, words: wordsOf(mark) })),
          ]
            .toSorted((a, b) => a.at - b.at)
            .map(({ at, words }) => <li key={`${at} ${words}`}>{words}</li>),
        )}
      </ol>
    </div>
  );
}

interface LaneProps {
  readonly lane: Lane;
  /** Counted from 1, because a generation is a long number. */
  readonly place: number;
  readonly y: number;
  readonly x: (at: number) => number;
  readonly present: number;
  readonly end: number;
  readonly point: (says: string) => void;
}

function LaneOf({ lane, place, y, x, present, end, point }: LaneProps) {
  const marks = lane.marks.filter(({ at }) => at <= end);
  return (
    <g>
      <text class="generation" x={0} y={y + 20}>
        #{place}
        <title>generation {lane.generation}</title>
      </text>
      <line class="rail" x1={left} x2={width - 8} y1={y + 15} y2={y + 15} />
      {lane.bars.map((bar) => (
        <rect
          key={`${bar.kind} ${bar.from}`}
          class={`s-${bar.kind}`}
          x={x(bar.from)}
          y={bar.kind === "attempt" ? y + 25 : y + 6}
          width={Math.max(2, x(bar.to ?? present) - x(bar.from))}
          height={bar.kind === "attempt" ? 8 : 18}
          rx={bar.kind === "attempt" ? 2 : 4}
          onPointerEnter={() => point(barWords(bar, present))}
        >
          <title>{barWords(bar, present)}</title>
        </rect>
      ))}
      {marks.map((mark) => (
        <MarkOf key={`${mark.kind} ${mark.at} ${mark.says}`} mark={mark} x={x(mark.at)} y={y} point={point} />
      ))}
    </g>
  );
}

function MarkOf({
  mark,
  x,
  y,
  point,
}: {
  readonly mark: Mark;
  readonly x: number;
  readonly y: number;
  readonly point: (says: string) => void;
}) {
  const says = wordsOf(mark);
  const props = { class: `m-${mark.kind}`, onPointerEnter: () => point(says) };
  const title = <title>{says}</title>;
  switch (mark.kind) {
    case "renewal":
    case "event":
      return (
        <line
          {...props}
          x1={x}
          x2={x}
          y1={mark.kind === "renewal" ? y + 8 : y + 1}
          y2={mark.kind === "renewal" ? y + 22 : y + 5}
        >
          {title}
        </line>
      );
    case "planned":
      return (
        <line {...props} x1={x} x2={x} y1={y + 3} y2={y + 36}>
          {title}
        </line>
      );
    case "gone":
      return (
        <path {...props} d={`M${x - 5} ${y + 15} l4 4 l7 -9`}>
          {title}
        </path>
      );
    case "lost":
    case "present":
    case "absent":
    case "unknown":
      return (
        <circle {...props} cx={x} cy={mark.kind === "lost" ? y + 15 : y + 38} r={mark.kind === "lost" ? 5 : 3.2}>
          {title}
        </circle>
      );
  }
}

const steps = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
];

interface AxisProps {
  readonly from: number;
  readonly to: number;
  readonly x: (at: number) => number;
  readonly y: number;
  /** null: the session is over. */
  readonly now: number | null;
}

function Axis({ from, to, x, y, now }: AxisProps) {
  const step = (steps.find((each) => (to - from) / 1_000 / each <= 7) ?? 604_800) * 1_000;
  const first = Math.ceil(from / step) * step;
  const ticks = Array.from(
    { length: Math.max(0, Math.floor((to - first) / step) + 1) },
    (_, index) => first + index * step,
  );
  const isNear = (at: number) => now !== null && Math.abs(x(at) - x(now)) < 44;
  return (
    <g class="axis">
      {ticks.map((at) => (
        <g key={at}>
          <line x1={x(at)} x2={x(at)} y1={0} y2={y - 4} />
          {/* At the edge it would be cut. */}
          <text x={x(at)} y={y + 12} class={x(at) > width - 26 || isNear(at) ? "covered" : ""}>
            {step >= 86_400_000 ? utc(at).slice(5, 10) : step >= 60_000 ? utcTime(at).slice(0, 5) : utcTime(at)}
          </text>
        </g>
      ))}
    </g>
  );
}

function barWords({ kind, from, to, says }: Bar, present: number): string {
  const ran = fineDuration((to ?? present) - from);
  return `${kind}${to === null ? " since" : ","} ${utcTime(from)}, ${ran}: ${says}`;
}

function wordsOf({ at, says }: Mark): string {
  return `${utcTime(at)} UTC: ${says}`;
}

/** A renewal is stored over the one before it, so only those seen while this page was open can be shown. */
function useRenewals(subject: Subject): readonly number[] {
  const seen = useRef<{ id: string; at: number[] }>({ id: "", at: [] });
  const renewed = subject.explanation?.sandboxes.find(({ phase }) => phase === "held")?.renewed_at ?? null;
  if (seen.current.id !== subject.id) seen.current = { id: subject.id, at: [] };
  const count = useSignal(0);
  useEffect(() => {
    if (renewed === null) return;
    const at = Date.parse(renewed);
    if (seen.current.at.at(-1) !== at) {
      seen.current.at.push(at);
      count.value += 1;
    }
  }, [renewed]);
  return seen.current.at;
}
