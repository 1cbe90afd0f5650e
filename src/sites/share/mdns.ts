import type { RemoteInfo } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import createMulticastDns, { type MulticastDNS, type QueryPacket } from 'multicast-dns'
import { RootlingError } from '../../errors.ts'

export interface MdnsOptions {
  /** The address of this machine that the names have, in whose network they are answered. */
  readonly address: string
  /** Names below `.local`, in lower case. */
  readonly names: readonly string[]
  readonly onError: (error: unknown) => void
}

export interface Mdns {
  /** Says that the names are gone, and ends. */
  close(): Promise<void>
}

/** The port of mDNS; who asks from another one knows no multicast (RFC 6762 section 6.7). */
const mdnsPort = 5_353
/** How long records with the address of a host are kept, in seconds (RFC 6762 section 10). */
const ttl = 120
/** The most that one who knows no multicast may keep them (section 6.7). */
const legacyTtl = 10
/** Three questions a quarter of a second apart find another owner of a name (section 8.1). */
const [probes, probeMilliseconds] = [3, 250]

/**
 * Answers for these names by multicast DNS (RFC 6762), beside whatever else does so on this machine, and
 * leaves all other names alone. Throws `usage` where another machine has one of the names, and
 * `listen-failed`.
 */
export async function answerNames({ address, names, onError }: MdnsOptions): Promise<Mdns> {
  const own = new Set(names)
  // Bound to the address alone, a socket would not get what is sent to all.
  const socket = createMulticastDns({ interface: address, bind: '0.0.0.0' })
  await ready(socket, address)
  // A packet of the network that cannot be read is nobody's fault here.
  socket.on('warning', () => undefined)
  socket.on('error', onError)
  try {
    await refuseTaken(socket, own, address)
  } catch (error) {
    await end(socket)
    throw error
  }
  socket.on('query', (query, from) => answer(socket, query, from, { own, address }))
  const announce = (seconds: number): void =>
    socket.respond({ answers: names.map((name) => addressRecord(name, address, seconds, true)) })
  announce(ttl)
  return {
    async close() {
      announce(0)
      // The farewell is on its way before the socket closes.
      await sleep(50)
      await end(socket)
    },
  }
}

function ready(socket: MulticastDNS, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('ready', resolve)
    socket.once('error', (cause) =>
      reject(
        new RootlingError(
          'listen-failed',
          `Names below .local cannot be answered on ${address}: ${cause.message}.`,
          { hint: 'Leave out the names: the address works without them', cause },
        ),
      ),
    )
  })
}

const end = (socket: MulticastDNS): Promise<void> =>
  new Promise((resolve) => socket.destroy(() => resolve()))

async function refuseTaken(
  socket: MulticastDNS,
  own: ReadonlySet<string>,
  address: string,
): Promise<void> {
  let taken: { name: string; by: string } | null = null
  socket.on('response', ({ answers = [] }) => {
    for (const record of answers) {
      const name = record.name.toLowerCase()
      if (record.type === 'A' && own.has(name) && record.data !== address && record.ttl !== 0)
        taken ??= { name, by: record.data }
    }
  })
  for (let i = 0; i < probes; i++) {
    socket.query({ questions: [...own].map((name) => ({ name, type: 'A' as const })) })
    await sleep(probeMilliseconds)
    if (taken !== null) {
      const { name, by } = taken as { name: string; by: string }
      throw new RootlingError('usage', `The machine ${by} of this network is ${name} already.`, {
        hint: 'Share the app under another name',
      })
    }
  }
}

interface Own {
  readonly own: ReadonlySet<string>
  readonly address: string
}

function answer(
  socket: MulticastDNS,
  { id = 0, questions = [] }: QueryPacket,
  from: RemoteInfo,
  { own, address }: Own,
): void {
  // Nobody can be answered at port 0.
  if (from.port === 0) return
  const isLegacy = from.port !== mdnsPort
  const seconds = isLegacy ? legacyTtl : ttl
  const asked = questions.filter(({ name }) => own.has(name.toLowerCase()))
  const answers = asked.map((question) =>
    // Without a word about IPv6, macOS waits five seconds for it (RFC 6762 section 6.1).
    /^(?:A|ANY)$/.test(question.type)
      ? addressRecord(question.name, address, seconds, !isLegacy)
      : onlyIpv4(question.name, seconds, !isLegacy),
  )
  if (answers.length === 0) return
  if (isLegacy) socket.respond({ id, questions: asked, answers }, from)
  else socket.respond({ answers })
}

const addressRecord = (name: string, data: string, seconds: number, flush: boolean) =>
  ({ name, type: 'A', class: 'IN', ttl: seconds, flush, data }) as const

/** The record that says which types of records a name has. */
const onlyIpv4 = (name: string, seconds: number, flush: boolean) =>
  ({
    name,
    type: 'NSEC',
    class: 'IN',
    ttl: seconds,
    flush,
    data: { nextDomain: name, rrtypes: ['A'] },
  }) as never
