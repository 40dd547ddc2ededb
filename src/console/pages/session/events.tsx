/** The history of a session: every transition, who caused it and why. Newest first; can be filtered by type. */
import { useLive } from "../../data/live.ts";
import { route, setQuery } from "../../data/route.ts";
import { readEvents, type Subject } from "../../data/session.ts";
import { Empty, Reading, When } from "../../parts/bits.tsx";
import { plain } from "../../words/states.ts";

export function Events({ subject }: { readonly subject: Subject }) {
  const { base } = subject;
  const live = useLive(`events ${base}`, (signal) => readEvents(base, 0, signal), 5_000);
  const { data } = live.state.value;
  const type = route.value.query.get("type") ?? "";
  const types = [...new Set((data ?? []).map((each) => each.type))].toSorted();
  const shown = (data ?? []).filter((each) => type === "" || each.type === type).toReversed();
  return (
    <section class="card" aria-label="Events">
      <header>
        <h2>Events</h2>
        <select
          aria-label="Type of event"
          value={type}
          onChange={(event) => setQuery({ type: event.currentTarget.value })}
        >
          <option value="">Every type</option>
          {types.map((each) => (
            <option key={each} value={each}>
              {plain(each)}
            </option>
          ))}
        </select>
      </header>
      <Reading of={live.state.value} />
      {data !== null && shown.length === 0 && <Empty title="No such event." />}
      <ol class="events">
        {shown.map((event) => (
          <li key={event.sequence}>
            <span class="faint number">{event.sequence}</span>
            <div>
              <b>{plain(event.type)}</b> <span class="small faint">by {event.actor}</span>{" "}
              {event.generation !== null && event.generation > 0 && (
                <span class="tag" title={`generation ${event.generation}`}>
                  g…{String(event.generation).slice(-4)}
                </span>
              )}
              <div class="small">
                {plain(event.cause)}
                {event.from !== event.to && (
                  <span class="faint">
                    {" "}
                    · {event.from} → {event.to}
                  </span>
                )}
              </div>
              {Object.keys(event.facts).length > 0 && (
                <div class="small faint facts-line">
                  {Object.entries(event.facts).map(([name, value]) => (
                    <span key={name}>
                      {plain(name)} <code>{String(value)}</code>
                    </span>
                  ))}
                </div>
              )}
            </div>
            <span class="small faint">
              <When at={event.at} />
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
