import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, request } from 'node:https'
import type { JWK } from 'jose'
import { makeRequest } from '../../src/x509/request.ts'
import type { Identifier } from '../../src/x509/identifier.ts'

/** An answer; `body` is the JSON, or the text where it is none. */
export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Body
  readonly text: string
}
// oxlint-disable-next-line typescript/no-explicit-any -- answers are judged by the tests
type Body = any

export interface RawKey {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly jwk: JWK
  readonly alg: string
}

/** A key pair for a signature algorithm. */
export function createKey(alg = 'ES256', bits = 2048): RawKey {
  const makers: Readonly<Record<string, () => { privateKey: KeyObject; publicKey: KeyObject }>> = {
    ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    ES384: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    ES512: () => generateKeyPairSync('ec', { namedCurve: 'P-521' }),
    RS256: () => generateKeyPairSync('rsa', { modulusLength: bits }),
    EdDSA: () => generateKeyPairSync('ed25519'),
  }
  const pair = makers[alg]?.()
  if (pair === undefined) throw new Error(`no key for ${alg}`)
  return { ...pair, jwk: pair.publicKey.export({ format: 'jwk' }), alg }
}

/** What to do differently from a proper request: each member of `header` replaces one, or removes it with `undefined`. */
export interface Deviation {
  readonly header?: Readonly<Record<string, unknown>>
  readonly key?: RawKey
  readonly contentType?: string
  /** The last word on the body. */
  readonly body?: (jws: { protected?: string; payload: string; signature: string }) => string
}

/** A client that does what it is told, also what is wrong; for one account. */
export class RawClient {
  readonly url: string
  readonly key: RawKey
  readonly agent: Agent
  readonly nonces: string[] = []
  directory: Readonly<Record<string, string>> & { meta?: Body } = {}
  kid = ''

  constructor(url: string, ca: string, key: RawKey = createKey()) {
    this.url = url
    this.key = key
    this.agent = new Agent({ ca, keepAlive: true, maxSockets: 16 })
  }

  async start(account: object | null = { termsOfServiceAgreed: true }): Promise<this> {
    this.directory = (await this.send('GET', this.url)).body
    if (account === null) return this
    const answer = await this.postWithKey(this.to('newAccount'), account)
    if (answer.status > 201) throw new Error(answer.text)
    this.kid = answer.headers['location'] ?? ''
    return this
  }

  to(name: string): string {
    return this.directory[name] ?? ''
  }

  async send(
    method: string,
    url: string,
    body?: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<RawAnswer> {
    const length = body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) }
    const sent = request(url, {
      method,
      agent: this.agent,
      servername: 'localhost',
      // A server that was killed at the wrong moment must not hold up the tests.
      signal: AbortSignal.timeout(150_000),
      headers: { ...length, ...headers },
    })
    // Broken off in the middle of an answer, it says so on both.
    sent.on('error', () => undefined)
    sent.end(body)
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    let text = ''
    for await (const chunk of response.setEncoding('utf8')) text += chunk
    const nonce = response.headers['replay-nonce']
    if (typeof nonce === 'string') this.nonces.push(nonce)
    const json = /json/.test(response.headers['content-type'] ?? '')
    return {
      status: response.statusCode ?? 0,
      headers: response.headers as Record<string, string>,
      body: json && text !== '' ? JSON.parse(text) : text,
      text,
    }
  }

  async nonce(): Promise<string> {
    const known = this.nonces.pop()
    if (known !== undefined) return known
    await this.send('HEAD', this.to('newNonce'))
    return this.nonces.pop() ?? ''
  }

  /** Signed for the account; a `null` payload is POST-as-GET. */
  post(
    url: string,
    payload: object | string | null,
    deviation: Deviation = {},
  ): Promise<RawAnswer> {
    return this.signed(url, payload, { kid: this.kid }, deviation)
  }

  postWithKey(url: string, payload: object | null, deviation: Deviation = {}): Promise<RawAnswer> {
    return this.signed(url, payload, { jwk: (deviation.key ?? this.key).jwk }, deviation)
  }

  private async signed(
    url: string,
    payload: object | string | null,
    reference: object,
    deviation: Deviation,
  ): Promise<RawAnswer> {
    const nonce =
      deviation.header !== undefined && 'nonce' in deviation.header ? '' : await this.nonce()
    const jws = this.sign(payload, { url, nonce, ...reference }, deviation)
    const body = deviation.body?.(jws) ?? JSON.stringify(jws)
    const type = deviation.contentType ?? 'application/jose+json'
    return this.send('POST', url, body, { 'Content-Type': type })
  }

  /** By hand: jose would not sign all that is to be refused. */
  sign(payload: object | string | null, header: object, deviation: Deviation = {}) {
    const { privateKey, alg } = deviation.key ?? this.key
    const encode = (data: string) => Buffer.from(data).toString('base64url')
    const data =
      payload === null ? '' : typeof payload === 'string' ? payload : JSON.stringify(payload)
    const declared = JSON.stringify({ alg, ...header, ...deviation.header })
    const jws = { protected: encode(declared), payload: encode(data) }
    const hash = alg === 'EdDSA' ? null : `sha${alg.slice(2)}`
    const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const
    const signature = sign(hash, Buffer.from(`${jws.protected}.${jws.payload}`), key)
    return { ...jws, signature: signature.toString('base64url') }
  }

  order(names: readonly string[], more: object = {}): Promise<RawAnswer> {
    return this.post(this.to('newOrder'), { identifiers: names.map(identifierOf), ...more })
  }

  close(): void {
    this.agent.destroy()
  }
}

function identifierOf(value: string): { type: string; value: string } {
  return { type: /^[\d.]+$|:/.test(value) ? 'ip' : 'dns', value }
}

/** A CSR in base64url for some names, by a key of its own. */
export function csrFor(names: readonly string[], key: RawKey = createKey()): string {
  const identifiers = names.map(identifierOf) as Identifier[]
  const spki = key.publicKey.export({ format: 'der', type: 'spki' })
  return makeRequest({ identifiers, keys: { spki }, key: key.privateKey }).toString('base64url')
}
