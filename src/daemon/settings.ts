import { join } from 'node:path'
import { RootlingError } from '../errors.ts'
import { writeFileAtomic } from '../files/atomic.ts'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { shellWord } from '../shell-word.ts'

/** What the daemon serves, kept so that it is the same after a restart. Ports: 0 turns it off. */
export interface DaemonSettings {
  readonly acmePort: number
  readonly revocationPort: number
  /** Where http-01 and tls-alpn-01 challenges are looked for; 0: that challenge is not offered. */
  readonly http01Port: number
  readonly tlsAlpn01Port: number
  /** `ADDRESS` or `ADDRESS:PORT`; `null`: the system's. */
  readonly dnsResolver: string | null
  /** Whether challenges may be looked for on other machines. */
  readonly allowRemote: boolean
  readonly eabRequired: boolean
}

const defaultSettings: DaemonSettings = {
  acmePort: 14_600,
  revocationPort: 14_680,
  http01Port: 80,
  tlsAlpn01Port: 443,
  dnsResolver: null,
  allowRemote: false,
  eabRequired: false,
}

const fileOf = (state: StateDirectory): string => join(state.path, 'daemon.json')

/** The defaults where nothing was set. Throws `corrupt-state`. */
export async function readSettings(state: StateDirectory): Promise<DaemonSettings> {
  const text = await readText(fileOf(state), 64 * 1024)
  if (text === null) return defaultSettings
  try {
    const settings = { ...defaultSettings, ...(JSON.parse(text) as Partial<DaemonSettings>) }
    if (isSound(settings)) return settings
  } catch {
    // Falls through to the sentence below.
  }
  throw new RootlingError('corrupt-state', `The daemon's settings ${fileOf(state)} are damaged.`, {
    hint: `rm ${shellWord(fileOf(state))}; the defaults hold then`,
  })
}

function isSound(settings: DaemonSettings): boolean {
  const { acmePort, revocationPort, http01Port, tlsAlpn01Port, dnsResolver } = settings
  const ports = [acmePort, revocationPort, http01Port, tlsAlpn01Port]
  return (
    ports.every((port) => Number.isInteger(port) && port >= 0 && port <= 65_535) &&
    (dnsResolver === null || typeof dnsResolver === 'string') &&
    [settings.allowRemote, settings.eabRequired].every((flag) => typeof flag === 'boolean')
  )
}

export async function writeSettings(
  state: StateDirectory,
  settings: DaemonSettings,
): Promise<void> {
  const data = `${JSON.stringify(settings, null, 2)}\n`
  await writeFileAtomic(fileOf(state), { data, mode: 0o600 }, state.owner)
}
