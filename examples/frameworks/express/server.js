import { createServer } from 'node:https'
import express from 'express'
import { certificateFor } from 'rootling'
import { greeting } from './greeting.js'

const app = express()
app.get('/', (_request, response) => response.send(`<h1 id="greeting">${greeting}</h1>`))
app.get('/self', async (request, response) => {
  const { status } = await fetch(`https://${request.host}/`)
  response.send(`itself: ${status}`)
})

const { key, cert } = await certificateFor(['localhost', '127.0.0.1', '::1'])
createServer({ key, cert }, app).listen(Number(process.env.PORT ?? 8443), 'localhost')
