import { createSocket } from 'node:dgram'
import { once } from 'node:events'

/** A name server for one test: TXT and A records by name. */
export interface DnsServer {
  /** `127.0.0.1:PORT`. */
  readonly address: string
  readonly txt: Map<string, string[]>
  /** Several addresses of a name with spaces between them. */
  readonly a: Map<string, string>
  close(): void
}

export async function startDnsServer(): Promise<DnsServer> {
  const txt = new Map<string, string[]>()
  const a = new Map<string, string>()
  const socket = createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    const { name, type, end } = question(query)
    const texts = type === 16 ? (txt.get(name) ?? []).map(characterStrings) : []
    const found = type === 1 ? a.get(name) : undefined
    const octets = (one: string) => Buffer.from(one.split('.').map(Number))
    const data = found?.split(' ').map(octets) ?? texts
    const head = Buffer.alloc(12)
    query.copy(head, 0, 0, 2)
    head.writeUInt16BE(data.length === 0 ? 0x8183 : 0x8180, 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(data.length, 6)
    const answers = data.map((octets) => record(type, octets))
    socket.send(Buffer.concat([head, query.subarray(12, end), ...answers]), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    address: `127.0.0.1:${socket.address().port}`,
    txt,
    a,
    close: () => void socket.close(),
  }
}

function question(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = []
  let at = 12
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.subarray(at + 1, at + 1 + length).toString('latin1'))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 }
}

/** RFC 1035 §3.3.14: strings of at most 255 octets. */
function characterStrings(text: string): Buffer {
  const parts = text.match(/.{1,40}/g) ?? ['']
  return Buffer.concat(parts.map((part) => Buffer.from([part.length, ...Buffer.from(part)])))
}

function record(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}
