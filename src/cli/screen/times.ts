/** Instants and durations for people. Every function takes `now`, so that all rows of a table use the same instant. */

/** "59m 54s", "3d 2h": at most two units. */
export function span(ms: number): string {
  const whole = Math.max(0, Math.round(ms / 1_000));
  const [days, hours, minutes, seconds] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3_600) % 24,
    Math.floor(whole / 60) % 60,
    whole % 60,
  ];
  const units = [`${days}d`, `${hours}h`, `${minutes}m`, `${seconds}s`];
  const first = units.findIndex((unit) => !unit.startsWith("0"));
  if (first === -1) return "0s";
  return units
    .slice(first, first + 2)
    .filter((unit, at) => at === 0 || !unit.startsWith("0"))
    .join(" ");
}

/** "4m ago", "in 12s"; "-" for null. */
export function relative(instant: string | null, now: number): string {
  if (instant === null) return "-";
  const ms = Date.parse(instant) - now;
  if (Math.abs(ms) < 1_000) return "now";
  return ms < 0 ? `${span(-ms)} ago` : `in ${span(ms)}`;
}

/** The UTC time of day, for lines that are read one after another. */
export function clock(instant: string): string {
  return instant.slice(11, 23);
}
