/** Returns the day of a date, UTC, such as `2026-11-29`. */
export const shortDate = (date: Date): string => date.toISOString().slice(0, 10)
