import { greeting } from './greeting.js'

const heading = document.createElement('h1')
heading.id = 'greeting'
document.body.append(heading)
const show = () => {
  heading.textContent = greeting
}
show()
import.meta.webpackHot?.accept('./greeting.js', show)
