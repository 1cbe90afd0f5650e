import { createSecureServer } from 'node:http2'
import Koa from 'koa'
import { certificateFor } from 'rootling'
import { greeting } from './greeting.js'

const app = new Koa()
app.use(async (context) => {
  if (context.path === '/self') {
    const { status } = await fetch(`https://${context.host}/`)
    context.body = `itself: ${status}`
  } else {
    context.body = `<h1 id="greeting">${greeting}</h1>`
  }
})

const { key, cert } = await certificateFor(['localhost', '127.0.0.1', '::1'])
const server = createSecureServer({ allowHTTP1: true, key, cert }, app.callback())
server.listen(Number(process.env.PORT ?? 8443), 'localhost')
