"use strict";
// The 3D view: point cloud, floor grid and people, in plain WebGL 1. Ground frame: x right, y up
// with 0 on the floor, z towards the camera; metres.

const vec = {
  add: (a, b, s = 1) => [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]],
  sub: (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]],
  dot: (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2],
  scale: (a, s) => [a[0] * s, a[1] * s, a[2] * s],
  cross: (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]],
  length: (a) => Math.hypot(a[0], a[1], a[2]),
  unit: (a) => vec.scale(a, 1 / (vec.length(a) || 1)),
};

// Matrices are column-major, as WebGL reads them.
function multiply(a, b) {
  const out = new Float32Array(16);
  for (let c = 0; c < 4; c++)
    for (let r = 0; r < 4; r++)
      for (let k = 0; k < 4; k++) out[4 * c + r] += a[4 * k + r] * b[4 * c + k];
  return out;
}

function frameMatrix(x, y, z, at) {
  return new Float32Array([...x, 0, ...y, 0, ...z, 0, ...at, 1]);
}

function perspective(fov, aspect, near, far) {
  const f = 1 / Math.tan(fov / 2), d = near - far;
  return new Float32Array([f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / d, -1, 0, 0, (2 * far * near) / d, 0]);
}

const CLOUD_VERTEX = `
attribute vec3 position; attribute float light;
uniform mat4 view, projection, ground; uniform vec3 low, high; uniform float unit, spread, pixels;
varying float shade, fade;
void main() {
  vec3 p = position * unit;
  vec4 world = ground * vec4(p, 1.0);
  vec4 eye = view * world;
  float away = max(-eye.z, 0.05);
  gl_Position = projection * eye;
  // Joints lie inside the body: the cloud's depth is pushed back so that its own skin hides nobody.
  vec4 pushed = projection * (eye * vec4(vec3((away + 0.28) / away), 1.0));
  gl_Position.z = pushed.z / pushed.w * gl_Position.w;
  // What lies away from the people recedes: paler, smaller points.
  float outside = length(max(max(low - world.xyz, world.xyz - high), 0.0));
  fade = smoothstep(0.2, 1.6, outside);
  gl_PointSize = clamp(1.3 * p.z * spread * pixels / away * (1.0 - 0.35 * fade), 1.0, mix(40.0, 9.0, fade));
  shade = light;
}`;
const CLOUD_FRAGMENT = `
precision mediump float; varying float shade, fade;
void main() {
  vec2 off = gl_PointCoord - 0.5;
  if (dot(off, off) > 0.25) discard;
  vec3 paint = mix(vec3(.41, .455, .54), vec3(.90, .92, .95), pow(shade, 1.35));
  gl_FragColor = vec4(mix(paint, vec3(.885, .90, .925), 0.62 * fade), 1.0);
}`;

const LINE_VERTEX = `
attribute vec3 position; uniform mat4 view, projection;
void main() { gl_Position = projection * view * vec4(position, 1.0); }`;
const LINE_FRAGMENT = `precision mediump float; uniform vec4 colour; void main() { gl_FragColor = colour; }`;

const SOLID_VERTEX = `
attribute vec3 position, normal; uniform mat4 model, view, projection; uniform mat3 turn;
varying vec3 at, facing, local;
void main() {
  vec4 world = model * vec4(position, 1.0);
  at = world.xyz; facing = turn * normal; local = position;
  gl_Position = projection * view * world;
}`;
const SOLID_FRAGMENT = `
precision mediump float;
varying vec3 at, facing, local;
uniform vec3 colour, eye, right, up; uniform float look, alpha, dashes;
void main() {
  vec3 n = normalize(facing), v = normalize(eye - at);
  float front = abs(dot(n, v));
  vec3 paint = colour; float opacity = alpha;
  if (look > 3.5) {                         // uncertainty: a glassy shell
    opacity *= mix(0.10, 0.62, pow(1.0 - front, 1.6));
  } else if (look > 2.5) {                  // limb to a guessed joint
    if (fract(local.y * dashes + 0.2) > 0.6) discard;
  } else if (look > 1.5) {                  // guessed joint: a dashed ring, empty inside
    float angle = atan(dot(n, up), dot(n, right)) / 6.2831853;
    if (front > 0.74 || fract(angle * 6.0) > 0.64) discard;
  } else if (look > 0.5 && dot(n, right) > 0.0) paint = vec3(1.0);   // depth from nearby: half
  if (look < 3.5) {
    float lamp = 0.70 + 0.34 * max(dot(n, normalize(v + vec3(0.15, 0.55, 0.1))), 0.0);
    paint *= min(look > 1.5 && look < 2.5 ? 0.95 : lamp, 1.0);
    if (look < 1.5 || look > 2.5) paint = mix(vec3(.09, .10, .15), paint, smoothstep(0.22, 0.42, front));
  }
  gl_FragColor = vec4(paint, opacity);
}`;

function sphereMesh(rows = 14, columns = 22) {
  const data = [];
  const at = (i, j) => {
    const a = (Math.PI * i) / rows, b = (2 * Math.PI * j) / columns;
    const p = [Math.sin(a) * Math.cos(b), Math.cos(a), Math.sin(a) * Math.sin(b)];
    return [...p, ...p];
  };
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++)
      data.push(...at(i, j), ...at(i + 1, j), ...at(i, j + 1), ...at(i, j + 1), ...at(i + 1, j), ...at(i + 1, j + 1));
  return new Float32Array(data);
}

function tubeMesh(sides = 16) {
  const data = [];
  const at = (j, y) => {
    const b = (2 * Math.PI * j) / sides;
    return [Math.cos(b), y, Math.sin(b), Math.cos(b), 0, Math.sin(b)];
  };
  for (let j = 0; j < sides; j++)
    data.push(...at(j, 0), ...at(j, 1), ...at(j + 1, 0), ...at(j + 1, 0), ...at(j, 1), ...at(j + 1, 1));
  return new Float32Array(data);
}

const LOOK = { solid: 0, half: 1, ring: 2, dashed: 3, shell: 4 };

class Scene {
  // Throws where the browser has no WebGL.
  constructor(canvas) {
    this.canvas = canvas;
    const gl = (this.gl = canvas.getContext("webgl", { antialias: true, alpha: true }));
    if (!gl) throw new Error("no WebGL");
    this.programs = {
      cloud: this.program(CLOUD_VERTEX, CLOUD_FRAGMENT),
      line: this.program(LINE_VERTEX, LINE_FRAGMENT),
      solid: this.program(SOLID_VERTEX, SOLID_FRAGMENT),
    };
    this.sphere = this.buffer(sphereMesh());
    this.tube = this.buffer(tubeMesh());
    this.points = gl.createBuffer();
    this.lights = gl.createBuffer();
    this.lines = gl.createBuffer();
    this.orbit = { yaw: -0.5, pitch: 0.28, distance: 4, target: [0, 1, -3], fov: 0.75 };
  }

  program(vertex, fragment) {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    const uniforms = {}, attributes = {};
    for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
      const name = gl.getActiveUniform(program, i).name;
      uniforms[name] = gl.getUniformLocation(program, name);
    }
    for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_ATTRIBUTES); i++) {
      const name = gl.getActiveAttrib(program, i).name;
      attributes[name] = gl.getAttribLocation(program, name);
    }
    return { program, uniforms, attributes };
  }

  buffer(data) {
    const gl = this.gl, buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    return { buffer, count: data.length / 6 };
  }

  // cloud: {xyz Int16Array, light Uint8Array, unit_m, spread}; groundMatrix takes camera to ground;
  // low, high: the ground-frame box worth looking at.
  setCloud(cloud, groundMatrix, low, high) {
    const gl = this.gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.points);
    gl.bufferData(gl.ARRAY_BUFFER, cloud.xyz, gl.STATIC_DRAW);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.lights);
    gl.bufferData(gl.ARRAY_BUFFER, cloud.light, gl.STATIC_DRAW);
    this.cloud = { ...cloud, count: cloud.light.length, groundMatrix, low, high };
  }

  axes() {
    const { yaw, pitch, distance, target } = this.orbit;
    const back = [Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), Math.cos(yaw) * Math.cos(pitch)];
    const right = [Math.cos(yaw), 0, -Math.sin(yaw)];
    return { right, up: vec.cross(back, right), back, eye: vec.add(target, back, distance) };
  }

  prepare() {
    const { right: r, up: u, back: b, eye } = this.axes();
    this.view = new Float32Array([
      r[0], u[0], b[0], 0, r[1], u[1], b[1], 0, r[2], u[2], b[2], 0,
      -vec.dot(r, eye), -vec.dot(u, eye), -vec.dot(b, eye), 1,
    ]);
    this.fov = this.orbit.fov;
    this.projection = perspective(this.fov, this.canvas.width / this.canvas.height, 0.05, 60);
    this.full = multiply(this.projection, this.view);
  }

  // Ground point to CSS pixels of the canvas and distance; null behind the viewer.
  project(p) {
    const m = this.full, w = m[3] * p[0] + m[7] * p[1] + m[11] * p[2] + m[15];
    if (w <= 0.05) return null;
    const x = (m[0] * p[0] + m[4] * p[1] + m[8] * p[2] + m[12]) / w;
    const y = (m[1] * p[0] + m[5] * p[1] + m[9] * p[2] + m[13]) / w;
    return [(0.5 + 0.5 * x) * this.canvas.clientWidth, (0.5 - 0.5 * y) * this.canvas.clientHeight, w];
  }

  metresPerPixel() {
    return (2 * this.orbit.distance * Math.tan((this.fov || 0.7) / 2)) / this.canvas.clientHeight;
  }

  use(name) {
    const gl = this.gl, chosen = this.programs[name];
    gl.useProgram(chosen.program);
    gl.uniformMatrix4fv(chosen.uniforms.view, false, this.view);
    gl.uniformMatrix4fv(chosen.uniforms.projection, false, this.projection);
    return chosen;
  }

  attribute(location, buffer, size, type, normalised, stride, offset) {
    const gl = this.gl;
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.enableVertexAttribArray(location);
    gl.vertexAttribPointer(location, size, type, normalised, stride, offset);
  }

  // items: {lines: [{points, colour}], solids: [{mesh, model, look, colour, alpha, dashes}], shells, cloud}
  draw(items) {
    const gl = this.gl, ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.canvas.clientWidth * ratio), height = Math.round(this.canvas.clientHeight * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.prepare();
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.depthFunc(gl.LEQUAL);
    for (const line of items.lines) this.drawLines(line);
    if (items.cloud && this.cloud) this.drawCloud(height);
    // What furniture or other people hide shines through faintly; then all that is in view.
    gl.depthMask(false);
    gl.depthFunc(gl.GREATER);
    this.drawSolids(items.solids, 0.3);
    gl.depthMask(true);
    gl.depthFunc(gl.LEQUAL);
    this.drawSolids(items.solids, 1);
    gl.depthMask(false);
    this.drawSolids(items.shells, 1);
    gl.depthMask(true);
  }

  drawCloud(height) {
    const gl = this.gl, { attributes, uniforms } = this.use("cloud");
    gl.uniformMatrix4fv(uniforms.ground, false, this.cloud.groundMatrix);
    gl.uniform3fv(uniforms.low, this.cloud.low);
    gl.uniform3fv(uniforms.high, this.cloud.high);
    gl.uniform1f(uniforms.unit, this.cloud.unit_m);
    gl.uniform1f(uniforms.spread, this.cloud.spread);
    gl.uniform1f(uniforms.pixels, height / (2 * Math.tan(this.fov / 2)));
    this.attribute(attributes.position, this.points, 3, gl.SHORT, false, 6, 0);
    this.attribute(attributes.light, this.lights, 1, gl.UNSIGNED_BYTE, true, 1, 0);
    gl.drawArrays(gl.POINTS, 0, this.cloud.count);
    gl.disableVertexAttribArray(attributes.light);
  }

  drawLines({ points, colour }) {
    const gl = this.gl, { attributes, uniforms } = this.use("line");
    gl.bindBuffer(gl.ARRAY_BUFFER, this.lines);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(points), gl.DYNAMIC_DRAW);
    gl.uniform4fv(uniforms.colour, colour);
    this.attribute(attributes.position, this.lines, 3, gl.FLOAT, false, 12, 0);
    gl.drawArrays(gl.LINES, 0, points.length / 3);
  }

  drawSolids(solids, alpha) {
    if (!solids.length) return;
    const gl = this.gl, { attributes, uniforms } = this.use("solid"), { eye, right, up } = this.axes();
    gl.uniform3fv(uniforms.eye, eye);
    gl.uniform3fv(uniforms.right, right);
    gl.uniform3fv(uniforms.up, up);
    let bound = null;
    for (const solid of solids) {
      if (solid.mesh !== bound) {
        bound = solid.mesh;
        this.attribute(attributes.position, bound.buffer, 3, gl.FLOAT, false, 24, 0);
        this.attribute(attributes.normal, bound.buffer, 3, gl.FLOAT, false, 24, 12);
      }
      gl.uniformMatrix4fv(uniforms.model, false, solid.model);
      gl.uniformMatrix3fv(uniforms.turn, false, normalMatrix(solid.model));
      gl.uniform3fv(uniforms.colour, solid.colour);
      gl.uniform1f(uniforms.look, solid.look);
      gl.uniform1f(uniforms.alpha, (solid.alpha ?? 1) * alpha);
      gl.uniform1f(uniforms.dashes, solid.dashes ?? 1);
      gl.drawArrays(gl.TRIANGLES, 0, bound.count);
    }
    gl.disableVertexAttribArray(attributes.normal);
  }

  ball(at, radius, look, colour, alpha) {
    const model = frameMatrix([radius, 0, 0], [0, radius, 0], [0, 0, radius], at);
    return { mesh: this.sphere, model, look, colour, alpha };
  }

  bar(from, to, radius, dashed, colour, alpha) {
    const along = vec.sub(to, from), y = vec.unit(along);
    const x = vec.unit(vec.cross(y, Math.abs(y[1]) < 0.9 ? [0, 1, 0] : [1, 0, 0]));
    const model = frameMatrix(vec.scale(x, radius), along, vec.scale(vec.cross(x, y), radius), from);
    const look = dashed ? LOOK.dashed : LOOK.solid;
    return { mesh: this.tube, model, look, colour, alpha, dashes: Math.max(2, Math.round(vec.length(along) / 0.055)) };
  }

  shell(at, columns, colour) {
    return { mesh: this.sphere, model: frameMatrix(...columns, at), look: LOOK.shell, colour };
  }
}

// Cofactors of the upper 3x3: the inverse transpose up to a factor, which the shader normalises away.
function normalMatrix(m) {
  const x = [m[0], m[1], m[2]], y = [m[4], m[5], m[6]], z = [m[8], m[9], m[10]];
  const s = vec.dot(x, vec.cross(y, z)) < 0 ? -1 : 1;
  return new Float32Array([...vec.cross(y, z), ...vec.cross(z, x), ...vec.cross(x, y)].map((v) => v * s));
}
