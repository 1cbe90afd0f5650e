import { createCounter, createHistogram, prometheusType, valuesText } from './prometheus-text.ts'

/** The connections to the database. */
interface PoolState {
  readonly total: number
  readonly idle: number
  /** How much work waits for a connection. */
  readonly waiting: number
}

export interface MetricsOptions {
  readonly pool?: (() => PoolState) | undefined
  /** The age in seconds of the newest CRL of each scope, by its name. */
  readonly crlAges?: (() => Promise<ReadonlyMap<string, number>>) | undefined
  /** How many certificates are in the last third of their lifetime and not replaced, at most 10,000. */
  readonly certificatesDue?: (() => Promise<number>) | undefined
  /** Called when one of these values cannot be told; the others are shown. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** How long each of these values may take; default 2,000. Prometheus waits for ten seconds. */
  readonly milliseconds?: number | undefined
}

interface AnsweredRequest {
  readonly route: string
  /** `null`: the connection ended before an answer. */
  readonly status: number | null
  readonly milliseconds: number
}

/** What one replica has done since its start, and what it knows of the whole team's server. */
export interface Metrics {
  orderCreated(): void
  orderIssued(): void
  /** `reason`: the type of the problem, such as `badCSR`. */
  orderFailed(reason: string): void
  /** `type`: of the challenge, such as `http-01`; `reason`: the type of the problem. */
  validationFailed(type: string, reason: string): void
  requestAnswered(request: AnsweredRequest): void
  /** `limit`: the limit that was reached, such as `ordersPerHour`. */
  rateLimited(limit: string): void
  /** The Content-Type of `text`. */
  readonly contentType: string
  /** Returns everything, in the text format of Prometheus. */
  text(): Promise<string>
}

/** In seconds. */
const latencyBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

const described = (name: string, help: string) => ({ name, help })

/** Creates the metrics of a replica. */
export function createMetrics(options: MetricsOptions = {}): Metrics {
  const count = <L extends string = never>(name: string, help: string, labels: readonly L[] = []) =>
    createCounter(described(name, help), labels)
  const created = count('rootling_orders_created_total', 'Orders that were made.')
  const issued = count('rootling_orders_issued_total', 'Orders that got a certificate.')
  const failed = count('rootling_orders_failed_total', 'Orders that failed, by the problem.', [
    'reason',
  ])
  const validations = count(
    'rootling_validations_failed_total',
    'Validations that failed, by challenge and problem.',
    ['type', 'reason'],
  )
  const requests = count('rootling_http_requests_total', 'Requests, by the status of the answer.', [
    'status',
  ])
  const latency = createHistogram(
    described('rootling_http_request_duration_seconds', 'The time of a request, by route.'),
    ['route'],
    latencyBounds,
  )
  const limited = count(
    'rootling_rate_limited_requests_total',
    'Requests that were refused since a limit was reached.',
    ['limit'],
  )
  const own = [created, issued, failed, validations, requests, latency, limited]

  return {
    orderCreated: () => created.add({}),
    orderIssued: () => issued.add({}),
    orderFailed: (reason) => failed.add({ reason }),
    validationFailed: (type, reason) => validations.add({ type, reason }),
    requestAnswered({ route, status, milliseconds }) {
      requests.add({ status: status === null ? 'aborted' : String(status) })
      latency.observe({ route }, milliseconds / 1000)
    },
    rateLimited: (limit) => limited.add({ limit }),
    contentType: prometheusType,
    async text() {
      const texts = [...own.map(({ text }) => text()), processText(), ...(await asked(options))]
      return texts.join('')
    },
  }
}

/** The values that have to be asked for, at the same time. */
function asked(options: MetricsOptions): Promise<string[]> {
  const { pool, crlAges, certificatesDue, onError, milliseconds = 2_000 } = options
  const ask = async (answer: () => string | Promise<string>): Promise<string> => {
    try {
      return await inTime(answer, milliseconds)
    } catch (error) {
      onError?.(error)
      return ''
    }
  }
  return Promise.all([
    ask(() => (pool === undefined ? '' : poolText(pool()))),
    ask(async () => (crlAges === undefined ? '' : crlText(await crlAges()))),
    ask(async () => (certificatesDue === undefined ? '' : dueText(await certificatesDue()))),
  ])
}

async function inTime<T>(answer: () => T | Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`a metric took more than ${milliseconds} ms`)
    timer = setTimeout(() => reject(error), milliseconds)
  })
  try {
    return await Promise.race([answer(), late])
  } finally {
    clearTimeout(timer)
  }
}

const gauge = (name: string, help: string, value: number): string =>
  valuesText(described(name, help), 'gauge', [[{}, value]])

const poolText = ({ total, idle, waiting }: PoolState): string =>
  gauge('rootling_database_connections', 'Open connections to the database.', total) +
  gauge('rootling_database_connections_idle', 'Those of them that do nothing.', idle) +
  gauge('rootling_database_waiting', 'Work that waits for a connection to the database.', waiting)

const crlText = (ages: ReadonlyMap<string, number>): string =>
  valuesText(
    described(
      'rootling_crl_age_seconds',
      'The age of the newest CRL that any replica made, by scope.',
    ),
    'gauge',
    [...ages].map(([scope, age]) => [{ scope }, age]),
  )

const dueText = (due: number): string =>
  gauge(
    'rootling_certificates_due',
    'Certificates in the last third of their lifetime that nothing has replaced, of 10,000 at most.',
    due,
  )

/** The names that Prometheus' own libraries use. */
function processText(): string {
  const { user, system } = process.cpuUsage()
  const started = Math.round((performance.timeOrigin / 1000) * 1000) / 1000
  return (
    valuesText(described('process_cpu_seconds_total', 'CPU time, user and system.'), 'counter', [
      [{}, (user + system) / 1e6],
    ]) +
    gauge('process_resident_memory_bytes', 'Memory in use.', process.memoryUsage.rss()) +
    gauge('process_start_time_seconds', 'When the process began, since 1970.', started)
  )
}
