/** What every tool has in common: its answer as JSON, and a refusal as words that an agent can act on. */
import type { CallToolResult, ToolAnnotations } from "@modelcontextprotocol/server";
import { isProblem, MooringError } from "../client/mooring.ts";

/** Changes nothing. */
export const reads: ToolAnnotations = { readOnlyHint: true, destructiveHint: false, openWorldHint: false };
/** Changes something that can be changed back, or adds something. */
export const changes: ToolAnnotations = { readOnlyHint: false, destructiveHint: false, openWorldHint: false };
/** Ends or deletes something for good. */
export const destroys: ToolAnnotations = { readOnlyHint: false, destructiveHint: true, openWorldHint: false };

export async function answered(act: () => Promise<unknown>): Promise<CallToolResult> {
  try {
    return textResult(JSON.stringify(await act(), null, 1), false);
  } catch (error) {
    if (!(error instanceof MooringError)) throw error;
    if (!isProblem(error)) return textResult(error.message, true);
    const fields = error.errors.map(({ pointer, detail }) => `\n${pointer}: ${detail}`).join("");
    const when = error.retryAt === null ? "" : `\nTry again at ${error.retryAt.toISOString()}.`;
    const later = error.retryable ? "\nThe same call may succeed later." : "";
    return textResult(`${error.code}: ${error.message}${fields}${when}${later}`, true);
  }
}

function textResult(text: string, isError: boolean): CallToolResult {
  return { content: [{ type: "text", text }], ...(isError ? { isError } : {}) };
}
