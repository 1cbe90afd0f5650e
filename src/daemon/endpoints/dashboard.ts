import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { describeScope } from '../../authority/describe-scope.ts'
import { readScopes } from '../../authority/scope.ts'
import { describeRecord } from '../../certificates/describe-record.ts'
import { statusOf } from '../../certificates/status.ts'
import { RootlingError, type ErrorCode } from '../../errors.ts'
import { listens } from '../../proxy/listens.ts'
import type { ProxyEntry } from '../../proxy/log.ts'
import type { Upstream } from '../../proxy/proxy-server.ts'
import { dashboardHost, ownerText, placeOf, urlOfRoute, type Route } from '../../proxy/routes.ts'
import { createDashboard, type DashboardSource } from '../../sites/dashboard/dashboard.ts'
import { createInProcessServer } from '../../sites/dashboard/in-process.ts'
import { readNewestFirst } from '../../storage/files/record.ts'
import { daysLeft } from '../../x509/profiles.ts'
import { parseObject } from '../json-object.ts'
import { logPath, openTail } from '../log-file.ts'
import type { EndpointOptions } from './endpoint.ts'
import { describeRequest, type RecentRequests } from './recent-requests.ts'

/** The program of the `rootling` command, and the arguments before a command's own. */
export type CommandLine = readonly [program: string, ...before: string[]]

export interface DashboardEndpointOptions extends EndpointOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** What answers slower questions: the stores and doctor are in no process that never ends. */
  readonly command: CommandLine
  /** What `daemon status` says. */
  readonly status: () => object
  readonly routes: () => readonly Route[]
  readonly requests: RecentRequests
  /** The port of the proxy. */
  readonly port: () => number
}

export interface DashboardEndpoint {
  /** Where the proxy sends the requests for the dashboard. */
  readonly upstream: Upstream
  readonly token: string
  close(): void
}

/** How many certificates and lines of the log are shown. */
const [mostCertificates, mostLines] = [200, 200]
/** How long it is believed that a server listens, or does not. */
const healthMilliseconds = 3_000
/** How long a command may take: doctor asks every browser and Java. */
const commandMilliseconds = 120_000

export function createDashboardEndpoint(options: DashboardEndpointOptions): DashboardEndpoint {
  const { state, log, requests } = options
  const health = new Map<string, { readonly at: number; readonly answer: Promise<boolean> }>()
  const tail = openTail(logPath(state))
  let lines: string[] = []

  function isHealthy(to: string): Promise<boolean> {
    const known = health.get(to)
    if (known !== undefined && performance.now() - known.at < healthMilliseconds)
      return known.answer
    const answer = listens(to)
    health.set(to, { at: performance.now(), answer })
    return answer
  }

  function readLog(): readonly string[] {
    lines = [...lines, ...tail.read()].slice(-mostLines)
    return lines
  }

  const source: DashboardSource = {
    async overview() {
      const routes = options.routes()
      for (const to of health.keys()) if (!routes.some((each) => each.to === to)) health.delete(to)
      return {
        daemon: options.status(),
        scopes: (await readScopes(state)).map(describeScope),
        certificates: certificatesOf(options),
        routes: await Promise.all(
          routes.map(async (route) => ({
            place: placeOf(route),
            url: route.host.startsWith('*') ? null : urlOfRoute(route, options.port()),
            to: route.to,
            owner: ownerText(route.owner),
            listens: await isHealthy(route.to),
            ...measured(requests.entries.filter(({ app }) => app === route.host)),
          })),
        ),
        requests: requests.entries.toReversed().map(describeRequest),
        log: readLog(),
      }
    },
    stores: () => run(options, ['status']),
    findings: () => run(options, ['doctor']),
    renew: (serialNumber) => run(options, ['renew', serialNumber]),
  }
  const token = randomBytes(24).toString('base64url')
  const handle = createDashboard({
    host: dashboardHost,
    source,
    token,
    onError: (error) => log(`dashboard: ${String(error)}`),
  })
  const server = createInProcessServer(handle)
  return {
    upstream: {
      app: dashboardHost,
      origin: new URL(`http://${dashboardHost}`),
      connect: () => server.connect(),
    },
    token,
    close() {
      server.close()
      tail.close()
    },
  }
}

function certificatesOf({ state, now }: DashboardEndpointOptions): object[] {
  const at = now()
  const found: object[] = []
  for (const entries of readNewestFirst(state, { all: false, onDamage: () => undefined }))
    for (const entry of entries) {
      const standing = statusOf(entry, at)
      if (['replaced', 'forgotten', 'revoked', 'expired'].includes(standing)) continue
      const left = daysLeft(new Date(entry.certificate.notAfter), at)
      found.push({ ...describeRecord(entry.certificate), standing, daysLeft: left })
      if (found.length === mostCertificates) return found
    }
  return found
}

/** The median is of the milliseconds to the end of the answer. */
function measured(entries: readonly ProxyEntry[]): object {
  const times = entries.map(({ milliseconds }) => milliseconds).toSorted((a, b) => a - b)
  return { requests: entries.length, median: times[Math.floor(times.length / 2)] ?? null }
}

/** Runs a command with --json, and returns what it prints. Throws its error. */
function run(
  { command: [program, ...before], env, state }: DashboardEndpointOptions,
  args: readonly string[],
): Promise<object> {
  const settings = {
    env: { ...env, ROOTLING_HOME: state.path },
    timeout: commandMilliseconds,
    maxBuffer: 16 * 1024 * 1024,
    windowsHide: true,
  }
  return new Promise((resolve, reject) => {
    const child = execFile(program, [...before, ...args, '--json'], settings, (failure, stdout) => {
      const answer = parseObject(stdout)
      if (answer === null) {
        const sentence = `rootling ${args.join(' ')} printed nothing that can be read.`
        return reject(
          new RootlingError('connect-failed', sentence, { cause: failure ?? undefined }),
        )
      }
      const { error } = answer as {
        error?: { code: ErrorCode; message: string; hint: string | null }
      }
      if (error === undefined) resolve(answer)
      else reject(new RootlingError(error.code, error.message, { hint: error.hint ?? undefined }))
    })
    child.stdin?.end()
  })
}
