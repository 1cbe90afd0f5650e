import { expect } from 'vitest'
import type { RawAnswer } from './raw.ts'

/** A refusal as RFC 8555 wants it: type, status, a document that says so, and a nonce to go on. */
export function expectProblem(answer: RawAnswer, type: string, status: number): void {
  expect(answer.text).toContain(`"urn:ietf:params:acme:error:${type}"`)
  expect(answer.status).toBe(status)
  expect(answer.body.status).toBe(status)
  expect(answer.body.detail).toMatch(/^\S.{10,}/s)
  expect(answer.headers['content-type']).toBe('application/problem+json')
  expect(answer.headers['replay-nonce']).toMatch(/^[\w-]{20,}$/)
}
