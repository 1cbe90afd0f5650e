import { join } from 'node:path'
import { createResolver } from '../acme/validation/addresses.ts'
import { RootlingError } from '../errors.ts'
import { writeFileAtomic } from '../files/atomic.ts'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { toDelete } from '../shell-commands.ts'
import { isLoopback } from '../sites/own-addresses.ts'
import { parseIdentifier, type Identifier } from '../x509/identifier.ts'
import { unmapped } from '../x509/ip.ts'
import { parseObject } from './json-object.ts'

/** The settings of what the daemon serves, kept for its next start. Port 0 turns a service off. */
export interface DaemonSettings {
  readonly acmePort: number
  readonly revocationPort: number
  /** The ports to which http-01 and tls-alpn-01 connect; 0 turns the challenge off. */
  readonly http01Port: number
  readonly tlsAlpn01Port: number
  /** The resolver, `ADDRESS` or `ADDRESS:PORT`; `null` for that of the system. */
  readonly dnsResolver: string | null
  /** Whether validation may connect to other machines. */
  readonly allowRemote: boolean
  readonly eabRequired: boolean
  /**
   * The name or address at which other machines reach ACME, such as the pods of a local cluster;
   * `onlyThisMachine`: none does. ACME listens at an address, and at a name on loopback alone.
   */
  readonly acmeHost: string
  /**
   * The port of the proxy. The default is only taken once there is a route, and another one in its
   * place where it cannot be had.
   */
  readonly proxyPort: number
}

export const defaultProxyPort = 443

/** The value of `acmeHost` with which ACME answers this machine alone. */
export const onlyThisMachine = 'localhost'

const defaultSettings: DaemonSettings = {
  acmePort: 14_600,
  revocationPort: 14_680,
  http01Port: 80,
  tlsAlpn01Port: 443,
  dnsResolver: null,
  allowRemote: false,
  eabRequired: false,
  acmeHost: onlyThisMachine,
  proxyPort: defaultProxyPort,
}

const fileOf = (state: StateDirectory): string => join(state.path, 'daemon.json')

/** Reads the kept settings, with the default for each that was not kept. Throws `corrupt-state`. */
export async function readSettings(state: StateDirectory): Promise<DaemonSettings> {
  const text = await readText(fileOf(state), 64 * 1024)
  if (text === null) return defaultSettings
  const kept = parseObject(text)
  const settings = { ...defaultSettings, ...kept }
  if (kept !== null && isSound(settings)) return settings
  throw new RootlingError('corrupt-state', `The daemon's settings ${fileOf(state)} are damaged.`, {
    hint: `${toDelete(fileOf(state))}; the defaults hold then`,
  })
}

const isPort = (value: unknown): boolean =>
  Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 65_535

function isSound(settings: {
  readonly [K in keyof DaemonSettings]: unknown
}): settings is DaemonSettings {
  const { acmePort, revocationPort, http01Port, tlsAlpn01Port, proxyPort, dnsResolver } = settings
  return (
    [acmePort, revocationPort, http01Port, tlsAlpn01Port, proxyPort].every(isPort) &&
    (dnsResolver === null || typeof dnsResolver === 'string') &&
    [settings.allowRemote, settings.eabRequired].every((flag) => typeof flag === 'boolean') &&
    typeof settings.acmeHost === 'string' &&
    acmeHostOf(settings.acmeHost) === settings.acmeHost
  )
}

/** The value of `--dns-resolver` that sets the setting to `null` again. */
const systemResolver = 'system'

/**
 * The settings that a person asks for; an absent or undefined one stays as it was. `dnsResolver` may
 * be `systemResolver` too.
 */
export type SettingsChanges = {
  readonly [K in keyof DaemonSettings]?: DaemonSettings[K] | undefined
}

/** The options of the command line that name a port. */
const portOptions = {
  acmePort: 'acme-port',
  revocationPort: 'revocation-port',
  http01Port: 'http01-port',
  tlsAlpn01Port: 'tls-alpn01-port',
  proxyPort: 'proxy-port',
} as const

/**
 * Returns the canonical form of a host at which other machines can reach ACME, or of
 * `onlyThisMachine`; `null`: the text is neither.
 */
function acmeHostOf(text: string): string | null {
  if (text === onlyThisMachine) return text
  const identifier = identifierOf(text)
  if (identifier === null) return null
  const { type, value } = identifier
  if (type === 'ip') return isLoopback(unmapped(value)) || isEveryAddress(value) ? null : value
  return type === 'dns' && !/^\*|(?:^|\.)localhost$/.test(value) ? value : null
}

const isEveryAddress = (address: string): boolean => /^(?:0\.0\.0\.0|::)$/.test(unmapped(address))

function identifierOf(text: string): Identifier | null {
  try {
    return parseIdentifier(text)
  } catch {
    return null
  }
}

/**
 * Returns the settings with these changes. Throws `usage` for a number that is not a port, for what
 * is no address of a resolver, and for a host at which no other machine can reach this one.
 */
export function withChanges(settings: DaemonSettings, changes: SettingsChanges): DaemonSettings {
  for (const [name, option] of Object.entries(portOptions)) {
    const port = changes[name as keyof typeof portOptions]
    if (port === undefined || isPort(port)) continue
    throw new RootlingError('usage', `--${option} ${port} is not between 0 and 65535.`, {
      hint: '0 turns it off',
    })
  }
  const dnsResolver = changes.dnsResolver === systemResolver ? null : changes.dnsResolver
  if (typeof dnsResolver === 'string') createResolver(dnsResolver)
  const { acmeHost } = changes
  const host = acmeHost === undefined ? undefined : acmeHostOf(acmeHost)
  if (host === null)
    throw new RootlingError(
      'usage',
      `--acme-host ${acmeHost} is no name or address at which other machines reach this one.`,
      {
        hint: `--acme-host 172.18.0.1, or host.docker.internal; ${onlyThisMachine}: this machine alone`,
      },
    )
  const given = Object.entries({ ...changes, dnsResolver, acmeHost: host }).filter(
    ([, value]) => value !== undefined,
  )
  return { ...settings, ...(Object.fromEntries(given) as Partial<DaemonSettings>) }
}

/**
 * Returns the options, as words of a command line, for what differs from these changes in the
 * settings of a daemon that runs. Throws what `withChanges` throws.
 */
export function differences(running: DaemonSettings, changes: SettingsChanges): string[] {
  const wanted = withChanges(running, changes)
  const names = Object.keys(running) as (keyof DaemonSettings)[]
  return names
    .filter((name) => wanted[name] !== running[name])
    .map((name) => optionOf(name, running))
}

function optionOf(name: keyof DaemonSettings, settings: DaemonSettings): string {
  const value = settings[name]
  const option = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  if (typeof value === 'boolean') return value ? `--${option}` : `--no-${option}`
  return `--${option} ${value ?? systemResolver}`
}

export async function writeSettings(
  state: StateDirectory,
  settings: DaemonSettings,
): Promise<void> {
  const data = `${JSON.stringify(settings, null, 2)}\n`
  await writeFileAtomic(fileOf(state), { data, mode: 0o600 }, state.owner)
}
