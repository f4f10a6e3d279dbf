/* What a WSGI application costs under the least server that can call it: the loop of floor.c, and
 * between `recv` and `send` a copy of a ready environ, the call, and the items joined.
 *
 * It reads no request and checks nothing. What it takes above floor.c is the application's, with the
 * caches and branch predictors as the kernel and the load generator leave them. */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zd\r\n"
                           "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nServer: floor\r\n\r\n";

static PyObject *start_response(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    (void)module, (void)arguments, (void)count;
    Py_RETURN_NONE;
}

static PyMethodDef START_RESPONSE = {"start_response", (PyCFunction)(void *)start_response,
                                     METH_FASTCALL, NULL};

/* Puts the items of the body at `out`; how long they are, or -1 with an exception. */
static Py_ssize_t join(PyObject *result, char *out, Py_ssize_t room) {
    Py_ssize_t length = 0;
    PyObject *items = PyObject_GetIter(result), *item;
    while (items && (item = PyIter_Next(items))) {
        Py_ssize_t count = PyBytes_Check(item) ? PyBytes_GET_SIZE(item) : room;
        if (length + count < room) memcpy(out + length, PyBytes_AS_STRING(item), count);
        length += count;
        Py_DECREF(item);
    }
    Py_XDECREF(items);
    if (length >= room) PyErr_SetString(PyExc_ValueError, "not bytes, or too many");
    return PyErr_Occurred() ? -1 : length;
}

/* Writes the whole response into `out`; its length, or -1 with an exception. */
static Py_ssize_t respond(PyObject *app, PyObject *template, PyObject *start, char *out,
                          Py_ssize_t room) {
    static char body[32768];
    PyObject *environ = PyDict_Copy(template);
    if (!environ) return -1;
    PyObject *arguments[] = {environ, start};
    PyObject *result = PyObject_Vectorcall(app, arguments, 2, NULL);
    Py_ssize_t length = result ? join(result, body, sizeof body) : -1;
    if (length >= 0) {
        int head = snprintf(out, room, HEAD, length);
        memcpy(out + head, body, length);
        length += head;
        /* A list has nothing to close, and asking it would be dear. */
        if (!PyList_CheckExact(result) && PyObject_HasAttrString(result, "close"))
            Py_XDECREF(PyObject_CallMethod(result, "close", NULL));
    }
    Py_XDECREF(result);
    Py_DECREF(environ);
    return length;
}

/* serve(app, environ, descriptor of a listener that does not block) */
static PyObject *serve(PyObject *module, PyObject *arguments) {
    static char scratch[65536], out[65536];
    PyObject *app, *template;
    int listener, on = 1;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "OOi", &app, &template, &listener)) return NULL;
    PyObject *start = PyCFunction_New(&START_RESPONSE, NULL);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (!start || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event))
        return PyErr_SetFromErrno(PyExc_OSError);
    for (;;) {
        struct epoll_event events[256];
        int ready;
        Py_BEGIN_ALLOW_THREADS
        ready = epoll_wait(epoll, events, 256, -1);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals()) return NULL;
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                event.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (event.data.fd < 0) continue;
                setsockopt(event.data.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
            } else if (recv(fd, scratch, sizeof scratch, 0) <= 0) {
                close(fd);
            } else {
                Py_ssize_t length = respond(app, template, start, out, sizeof out);
                if (length < 0) return NULL;
                send(fd, out, length, MSG_NOSIGNAL);
            }
        }
    }
}

static PyMethodDef METHODS[] = {{"serve", serve, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "wsgi", .m_methods = METHODS};

PyMODINIT_FUNC PyInit_wsgi(void) { return PyModule_Create(&MODULE); }
