import { greeting } from './greeting.js'

const show = () => {
  document.querySelector('#greeting').textContent = greeting
}
show()
import.meta.webpackHot?.accept('./greeting.js', show)
