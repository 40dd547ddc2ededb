/** Files of a sandbox, as the agent and the native API describe them. */
import { z } from "zod";

export const fileTypes = ["file", "directory", "symlink", "fifo", "socket", "device"] as const;

const mode = z.int().nonnegative().describe("Permission bits as a number, 420 for 0644.");

export const fileEntry = z.object({
  name: z.string().describe("The last segment. Bytes that are no UTF-8 read as U+FFFD."),
  path: z.string().describe("The absolute path."),
  raw_path: z
    .string()
    .optional()
    .describe("Only for a path that is not UTF-8: its bytes, percent-encoded, to be put into a query as it is."),
  type: z.enum(fileTypes).describe("Of the entry itself: a symbolic link is not followed."),
  size: z.int().nonnegative().describe("Bytes."),
  mode,
  uid: z.int().describe("The number of its owner."),
  gid: z.int().describe("The number of its group."),
  owner: z.string().describe("The name of the user, or its number where it has no name."),
  group: z.string().describe("The name of the group, or its number where it has no name."),
  modified_at: z.string().describe("When its content changed last."),
  changed_at: z.string().describe("When its content, its owner or its mode changed last."),
  etag: z.string().optional().describe("Of a file: what `If-Match` and `If-None-Match` compare."),
  link: z
    .object({
      target: z.string().describe("What the link says."),
      path: z.string().nullable().describe("Where it leads, every link followed; null: nowhere."),
      type: z.enum(fileTypes).nullable(),
      mode: mode.nullable().describe("Of what it leads to; null: nothing."),
    })
    .optional()
    .describe("Of a symbolic link."),
  metadata: z
    .record(z.string(), z.string())
    .optional()
    .describe("Extended attributes `user.e2b.*`, by the rest of their names, where they were asked for."),
});
export type FileEntry = z.infer<typeof fileEntry>;

export const filePage = z.object({ data: z.array(fileEntry), next_cursor: z.string().nullable() });

export const changeKinds = ["created", "modified", "attributes", "removed", "renamed"] as const;

/** A rename is `renamed` with the old name, and `created` with the new one. */
export const fileChange = z.object({
  kind: z.enum(changeKinds),
  name: z.string().describe("Below the watched directory."),
  raw_name: z.string().optional().describe("Only of a name that is not UTF-8: its bytes, percent-encoded."),
  entry: fileEntry.optional().describe("As it is now, with `entry=true`."),
});
export type FileChange = z.infer<typeof fileChange>;

/** `ready`: from now on nothing is missed. `overflow`: so much changed that not all of it could be told, so look at the directory itself. */
export const watchNothing = z.object({});
export const watchEnd = z.object({
  reason: z
    .enum(["removed", "too_many_directories"])
    .describe(
      "`removed`: the watched directory is gone. `too_many_directories`: directories were made that cannot be watched beside the others.",
    ),
});
export type WatchEnd = z.infer<typeof watchEnd>;
