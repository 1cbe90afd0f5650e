import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { anyText, entriesOf, nothing, type Entries, type Layout } from '../../files/own-entries.ts'
import { readText } from '../../files/read.ts'
import {
  authoritiesPath,
  defaultAuthority,
  isAuthorityName,
  namedAuthority,
  type StateDirectory,
} from '../../home/state-directory.ts'
import { rootPath, scopeNames, scopesLayout } from './scopes.ts'
import { pendingNames } from './pending.ts'
import { bundles } from './unfinished-writes.ts'

/**
 * What Rootling writes into a state directory: every file that any part of it writes there belongs
 * here, or `ca delete` takes it for foreign. The lock that a deletion holds is deleted last.
 */
const stateFiles: Readonly<Record<string, RegExp>> = {
  'certificates.jsonl': /^\{"event":"/,
  'CACHEDIR.TAG': /^Signature: 8a477f597d28d172789f06886806bc55\n# Keys of a local development CA/,
  'daemon.json':
    /^\{\s*"(?:(?:acme|revocation|http01|tlsAlpn01|proxy)Port|dnsResolver|allowRemote|eabRequired|acmeHost)"/,
  'proxy.json': /^\{\s*"routes":/,
  'daemon-run.json': /^\{"address":"/,
  'daemon.log.1': /^\d{4}-\d\d-\d\dT[\d:.]+Z /,
  'daemon.log': /^\d{4}-\d\d-\d\dT[\d:.]+Z /,
  'roots.pem': /^# Roots that Rootling keeps up to date here/,
  'roots-openssl.pem': /^# Roots that Rootling keeps up to date here/,
  'stores.json': /^\{"kinds":/,
  'trusting-stores.json': /^\{"trusting":/,
  'trusted-roots.json': /^\[(?:\]|\s*\{\s*"label":)/,
  'renewal.json': /^\[(?:\]|\{"serialNumber":)/,
  'rootling-task.xml': anyText,
  'kept.lock': nothing,
  'stores.lock': nothing,
  'projects.lock': nothing,
  'daemon.lock': nothing,
  // A killed deletion must not leave files of a version without its number.
  version: /^[1-9]\d*\s*$/,
  lock: nothing,
}

const directories: Readonly<Record<string, Layout>> = {
  scopes: scopesLayout,
  pending: { numbered: pendingNames },
  projects: { numbered: /^[0-9a-f]{32}\.json$/ },
  kept: {
    files: { 'checked.json': /^\{"stamps":/ },
    directory: (name) =>
      /^[0-9a-f]{16}$/.test(name)
        ? { files: { 'key.pem': anyText, 'cert.pem': anyText } }
        : undefined,
  },
  acme: { files: { journal: /^\["/, nonces: /^secret / } },
  run: { socket: 'control.sock' },
}

/**
 * Lists what is in a state directory. Other authorities in it are neither its own nor foreign, and
 * are left out. Throws `file-unreadable`.
 */
export async function stateEntries(state: StateDirectory): Promise<Entries> {
  const named = new Set((await namedAuthorities(state)).map(({ path }) => path))
  const authorities: Layout = {
    directory: (name) => {
      if (named.has(join(authoritiesPath(state), name))) return 'ignored'
      return isAuthorityName(name) ? {} : undefined
    },
  }
  const layout: Layout = {
    files: { ...(await rootCopy(state)), ...stateFiles },
    directory: (name) => {
      // A deletion leaves what programs may still be told to read: see src/runtimes/bundles.ts.
      if (name === bundles) return 'ignored'
      if (name === 'authorities' && state.authority === undefined) return authorities
      return Object.hasOwn(directories, name) ? directories[name] : undefined
    },
  }
  return entriesOf(state.path, layout)
}

/**
 * Returns how the `rootCA.pem` begins that rootling-mkcert wrote for other tools. With mkcert's key
 * beside it, or without a root of a scope here in it, the file is not Rootling's.
 */
async function rootCopy(state: StateDirectory): Promise<Readonly<Record<string, RegExp>>> {
  if (existsSync(join(state.path, 'rootCA-key.pem'))) return {}
  const roots: string[] = []
  for (const name of await scopeNames(state)) {
    const root = await readText(rootPath(state, name)).catch(() => null)
    if (root !== null && root.trim() !== '') roots.push(root.trim())
  }
  if (roots.length === 0) return {}
  // Base64 has only one character that means something else in a pattern.
  return { 'rootCA.pem': new RegExp(`^(?:${roots.join('|').replaceAll('+', '\\+')})`) }
}

/**
 * Returns the named authorities below a state directory, but not directories that hold nothing of
 * Rootling's. Throws `file-unreadable`.
 */
export async function namedAuthorities(state: StateDirectory): Promise<StateDirectory[]> {
  if (state.authority !== undefined || !existsSync(authoritiesPath(state))) return []
  const found: StateDirectory[] = []
  for (const entry of readdirSync(authoritiesPath(state), { withFileTypes: true })) {
    if (!entry.isDirectory() || !isAuthorityName(entry.name)) continue
    const named = namedAuthority(state, entry.name)
    if ((await stateEntries(named)).files.length > 0) found.push(named)
  }
  return found
}

/** Returns the default authority and the named ones beside it, without the given one. */
export async function otherAuthorities(state: StateDirectory): Promise<StateDirectory[]> {
  const base = defaultAuthority(state)
  return [base, ...(await namedAuthorities(base))].filter(({ path }) => path !== state.path)
}
