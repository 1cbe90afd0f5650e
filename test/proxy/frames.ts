import { createHash } from 'node:crypto'
import type { Duplex } from 'node:stream'

// WebSocket (RFC 6455), as far as tests and benchmarks need it: no fragments, no extensions.

export const acceptFor = (key: string): string =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')

/** Returns a binary frame; a client masks its frames, with zeros here. */
export function frame(payload: Buffer, masked: boolean, opcode = 2): Buffer {
  const bit = masked ? 0x80 : 0
  const head =
    payload.length < 126
      ? Buffer.from([0x80 | opcode, bit | payload.length])
      : payload.length < 65_536
        ? Buffer.from([0x80 | opcode, bit | 126, payload.length >> 8, payload.length & 0xff])
        : Buffer.from([0x80 | opcode, bit | 127, 0, 0, 0, 0, 0, 0, 0, 0])
  if (payload.length >= 65_536) head.writeUInt32BE(payload.length, 6)
  return Buffer.concat([head, ...(masked ? [Buffer.alloc(4)] : []), payload])
}

export interface Frame {
  readonly opcode: number
  readonly payload: Buffer
}

/** Returns a function that takes what comes and calls `onFrame` for each whole frame. */
export function frameReader(onFrame: (frame: Frame) => void): (part: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (part) => {
    rest = rest.length === 0 ? part : Buffer.concat([rest, part])
    for (;;) {
      if (rest.length < 2) return
      const masked = ((rest[1] ?? 0) & 0x80) !== 0
      const short = (rest[1] ?? 0) & 0x7f
      const lengthOctets = short === 126 ? 2 : short === 127 ? 8 : 0
      let at = 2 + lengthOctets
      if (rest.length < at) return
      const length =
        lengthOctets === 0
          ? short
          : lengthOctets === 2
            ? rest.readUInt16BE(2)
            : rest.readUInt32BE(6)
      const mask = masked ? rest.subarray(at, at + 4) : null
      if (masked) at += 4
      if (rest.length < at + length) return
      const payload = Buffer.from(rest.subarray(at, at + length))
      if (mask !== null)
        for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] ?? 0) ^ (mask[i % 4] ?? 0)
      const opcode = (rest[0] ?? 0) & 0x0f
      rest = rest.subarray(at + length)
      onFrame({ opcode, payload })
    }
  }
}

/** Answers each frame of a client by the same one. */
export function echoFrames(socket: Duplex, head: Buffer): void {
  const read = frameReader(({ opcode, payload }) => {
    socket.write(frame(payload, false, opcode))
    if (opcode === 8) socket.end()
  })
  socket.on('data', read)
  if (head.length > 0) read(head)
}
