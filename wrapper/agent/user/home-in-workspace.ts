/**
 * Makes the home of agents' programs the workspace, where the image has put nothing into that home.
 *
 * Programs write to their home: E2B's by absolute paths below `/home/user`, others their settings. A pause keeps the workspace alone, so what is
 * in a home beside it would be gone after a resume. An image with files of its own in the home keeps that home.
 */
import { renameSync, rmdirSync, symlinkSync, unlinkSync } from "node:fs";

/** Before anything runs that could be in that home. False: it stays a directory of its own. */
export function homeInWorkspace(home: string, workspace: string): boolean {
  const link = `${home}.link`;
  try {
    symlinkSync(workspace, link);
  } catch {
    return false;
  }
  try {
    // Refuses a directory with something in it.
    rmdirSync(home);
  } catch {
    unlinkSync(link);
    return false;
  }
  renameSync(link, home);
  return true;
}
