#!/bin/sh
echo "app @VERSION@ is well"
