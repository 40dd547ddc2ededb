/** One figure and its last minutes as a line. A cap is drawn as a second line. */
import { Figure } from "./bits.tsx";

const width = 240;
const height = 44;

export function Spark({
  label,
  unit,
  points,
  value,
  note,
  cap,
}: {
  readonly label: string;
  readonly unit: string;
  readonly points: readonly (number | null)[];
  readonly value: number | null;
  readonly note?: string;
  readonly cap?: number;
}) {
  const known = points.filter((each) => each !== null);
  const top = Math.max(1, cap ?? 0, ...known) * 1.08;
  const x = (index: number) => (points.length < 2 ? width : (index / (points.length - 1)) * width);
  const y = (each: number) => height - 2 - (each / top) * (height - 6);
  const line = points
    .map((each, index) => (each === null ? null : `${x(index).toFixed(1)},${y(each).toFixed(1)}`))
    .filter((each) => each !== null);
  return (
    <div class="spark">
      <Figure label={label} value={value === null ? "–" : `${round(value)}${unit === "" ? "" : ` ${unit}`}`}>
        {note ?? (cap === undefined ? "" : `cap ${cap}`)}
      </Figure>
      <svg
        viewBox={`0 0 ${width} ${height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${label}, the last ${known.length} samples`}
      >
        {cap !== undefined && <line class="cap" x1={0} x2={width} y1={y(cap)} y2={y(cap)} />}
        {line.length > 1 && <polygon points={`0,${height} ${line.join(" ")} ${width},${height}`} />}
        {line.length > 1 && <polyline points={line.join(" ")} />}
      </svg>
    </div>
  );
}

function round(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : String(Math.round(value * 10) / 10);
}
