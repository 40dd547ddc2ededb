/** What every provider has: what a session gets that names no template. */
export const defaultTemplate = "base";
