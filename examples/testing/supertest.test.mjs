// node --test
import assert from 'node:assert/strict'
import https from 'node:https'
import { test } from 'node:test'
import request from 'supertest'
import { ephemeralAuthority } from 'rootling/test'

/** The code under test: an application, as Express, Koa or Fastify make one. */
const application = ({ socket }, response) => {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ secure: socket.encrypted === true }))
}

const ca = await ephemeralAuthority()
const server = https.createServer(await ca.certificate(), application)

test('answers over TLS', async () => {
  await request(server).get('/').ca(ca.root).expect(200, { secure: true })
})

test('is refused by who does not know the root', async () => {
  await assert.rejects(request(server).get('/'), { code: /^UNABLE_TO_/ })
})
