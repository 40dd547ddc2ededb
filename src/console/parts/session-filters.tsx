/** The filters of the list of sessions. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { idIn, type SessionFilter } from "../data/session-list.ts";
import { go, setQuery } from "../data/route.ts";
import { plain } from "../words/states.ts";
import { Icon } from "./icon.tsx";
import { isTyping } from "./shortcuts.tsx";

const statuses = "provisioning running recovering pausing paused lost terminating terminated failed".split(" ");
const blockedCodes =
  "parked unreadable newer_record adapter_missing env_unreadable no_capacity quota_exhausted budget_spent snapshot_not_deleted pause_failing unavailable insufficient_space space_unmeasurable filesystem_unusable".split(
    " ",
  );
const operatorsOnly = [
  ["stuck", "stuck"],
  ["overdue", "teardown overdue"],
  ["open", "may hold a sandbox"],
  ["critical", "critical"],
] as const;

export function SessionFilters({ filter, operator }: { readonly filter: SessionFilter; readonly operator: boolean }) {
  const typed = useSignal(filter.q);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    typed.value = filter.q;
  }, [filter.q]);
  useEffect(() => {
    function onKey(event: KeyboardEvent): void {
      if (event.key !== "/" || isTyping(event)) return;
      event.preventDefault();
      input.current?.focus();
      input.current?.select();
    }
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);

  return (
    <form
      class="toolbar"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        const id = idIn(typed.value);
        if (id !== null) go(`/console/sessions/${id}`);
        else setQuery({ q: typed.value.trim(), cursor: null, page: null }, "push");
      }}
    >
      <div class="search">
        <Icon name="search" />
        <input
          ref={input}
          type="search"
          aria-label="Search sessions"
          placeholder={`An id, team=web, template:python${operator ? ", tenant:acme, agent:coder, task:t-1" : ""}`}
          value={typed.value}
          onInput={(event) => (typed.value = event.currentTarget.value)}
          onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
        />
      </div>
      <select
        aria-label="Status"
        value={filter.status}
        onChange={(event) => setQuery({ status: event.currentTarget.value, cursor: null, page: null }, "push")}
      >
        <option value="">Any status</option>
        {statuses.map((each) => (
          <option key={each} value={each}>
            {plain(each)}
          </option>
        ))}
      </select>
      <select
        aria-label="Only"
        value={filter.only}
        onChange={(event) => setQuery({ only: event.currentTarget.value, cursor: null, page: null }, "push")}
      >
        <option value="">Troubled or not</option>
        {operator &&
          operatorsOnly.map(([value, words]) => (
            <option key={value} value={value}>
              {words}
            </option>
          ))}
        <optgroup label="blocked by">
          {blockedCodes.map((each) => (
            <option key={each} value={each}>
              {plain(each)}
            </option>
          ))}
        </optgroup>
      </select>
    </form>
  );
}
