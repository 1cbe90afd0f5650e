import type { ProxyEntry } from '../../proxy/log.ts'

/** The last requests of the proxy, for the dashboard. */
export interface RecentRequests {
  note(entry: ProxyEntry): void
  /** The oldest first. */
  readonly entries: readonly ProxyEntry[]
}

/** How many are remembered. */
const most = 100
/** The most letters of the path, and of all fields, of one of them. */
const [longestPath, longestFields] = [1_000, 4_096]

/** Remembers requests in bounded memory, whatever clients send. */
export function createRecentRequests(): RecentRequests {
  const entries: ProxyEntry[] = []
  return {
    entries,
    note(entry) {
      const path = entry.path.length > longestPath ? entry.path.slice(0, longestPath) : entry.path
      const fields = within(entry.fields, longestFields)
      const answered = within(entry.answered, longestFields - lettersIn(fields))
      entries.push({ ...entry, path, fields, answered })
      if (entries.length > most) entries.shift()
    },
  }
}

/** Returns as many fields as have no more letters; mostly all of them, which need no copy. */
function within(fields: readonly string[], letters: number): readonly string[] {
  let left = letters
  for (let i = 0; i + 1 < fields.length; i += 2) {
    left -= (fields[i] ?? '').length + (fields[i + 1] ?? '').length
    if (left < 0) return fields.slice(0, i)
  }
  return fields
}

const lettersIn = (fields: readonly string[]): number =>
  fields.reduce((sum, { length }) => sum + length, 0)

const secretFields =
  /^(?:authorization|proxy-authorization|cookie|set-cookie|x-api-key|.*(?:token|secret|password).*)$/i

/**
 * Returns a request as it is shown: without the values of fields that hold secrets, and without the
 * query of its path, which holds them as often.
 */
export function describeRequest({ path, fields, answered, ...entry }: ProxyEntry): object {
  const shown = path.replace(/\?.*$/s, '?…')
  return {
    ...entry,
    path: shown,
    fields: withoutSecrets(fields),
    answered: withoutSecrets(answered),
  }
}

const withoutSecrets = (fields: readonly string[]): string[] =>
  fields.map((text, i) => {
    if (i % 2 === 0) return text
    const name = fields[i - 1] ?? ''
    if (secretFields.test(name)) return '…'
    // The page that a request came from, or is sent to, has a query too.
    return /^(?:referer|location|:path)$/i.test(name) ? text.replace(/\?.*$/s, '?…') : text
  })
