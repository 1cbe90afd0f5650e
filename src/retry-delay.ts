const minute = 60_000
const hour = 60 * minute

/** The longest wait between two attempts, in milliseconds. */
export const longestRetryDelay = hour

/**
 * Returns how long to wait, in milliseconds, after so many failures in a row: 1, 2, 4, … minutes,
 * at most an hour.
 *
 * @example retryDelay(3) // 240_000
 */
export function retryDelay(failures: number): number {
  return Math.min(minute * 2 ** (failures - 1), hour)
}
