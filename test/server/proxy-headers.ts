import { ipBytes } from '../../src/x509/ip.ts'

const ports = (source: number): Buffer => Buffer.from([source >> 8, source & 255, 1, 187])

/** The addresses and ports of version 2, from a client to port 443 of a server. */
export const v4 = (address: string, port: number): Buffer =>
  Buffer.concat([ipBytes(address), ipBytes('192.0.2.1'), ports(port)])
export const v6 = (address: string, port: number): Buffer =>
  Buffer.concat([ipBytes(address), ipBytes('2001:db8::1'), ports(port)])

/** A header of version 2 of the PROXY protocol. */
export function binaryHeader(command: number, family: number, rest: Buffer): Buffer {
  const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
  const fixed = Buffer.from([command, family, rest.length >> 8, rest.length & 255])
  return Buffer.concat([signature, fixed, rest])
}
